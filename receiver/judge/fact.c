/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fact.c - see fact.h. Times are kept as differences and numbers as varints: a beat takes about 200 bytes, most of them
 * metrics. */
#include "receiver/judge/fact.h"

#include <math.h>

enum { FLAG_KEPT = 1, FLAG_SAME_RUN = 2 };

static void visit_u32(struct codec *codec, uint32_t *value)
{
    uint64_t wide = *value;
    codec_varint(codec, &wide);
    if (wide > UINT32_MAX)
        codec->failed = true;
    *value = (uint32_t)wide;
}

/* A time before a later one, as the difference. */
static void visit_before(struct codec *codec, struct instant *value, struct instant later)
{
    int64_t behind = later.ns - value->ns;
    codec_svarint(codec, &behind);
    value->ns = (int64_t)((uint64_t)later.ns - (uint64_t)behind);
    if (!instant_is_sane(*value)) {
        codec->failed = true;
        *value = later;
    }
}

static void visit_metrics(struct codec *codec, double metrics[METRIC_COUNT])
{
    uint64_t present = 0;
    for (unsigned i = 0; i < METRIC_COUNT; i++)
        if (!isnan(metrics[i]))
            present |= UINT64_C(1) << i;
    codec_varint(codec, &present);
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        if (!(present >> i & 1)) {
            metrics[i] = NAN;
        } else if (metric_catalogue[i].kind == METRIC_GAUGE) {
            float rounded = (float)metrics[i];
            codec_f32(codec, &rounded);
            metrics[i] = (double)rounded;
        } else {
            codec_f64(codec, &metrics[i]);
        }
    }
}

static void visit_beat(struct codec *codec, struct fact_beat *beat, struct instant now)
{
    uint8_t flags = (uint8_t)((beat->kept ? FLAG_KEPT : 0) | (beat->same_run ? FLAG_SAME_RUN : 0));
    codec_u8(codec, &flags);
    beat->kept = flags & FLAG_KEPT;
    beat->same_run = flags & FLAG_SAME_RUN;
    visit_before(codec, &beat->at, now);
    visit_u32(codec, &beat->number);
    uint32_t kept_count = beat->number - beat->oldest_kept;
    visit_u32(codec, &kept_count);
    beat->oldest_kept = beat->number - kept_count;
    codec_varint(codec, &beat->uptime_ms);
    codec_varint(codec, &beat->run_ms);
    if (beat->uptime_ms > FACT_UPTIME_MS_MAX || beat->run_ms > FACT_UPTIME_MS_MAX)
        codec->failed = true;
    if (!beat->same_run) {
        codec_u64(codec, &beat->session);
        codec_bytes(codec, beat->boot_id, sizeof beat->boot_id);
        codec_u64(codec, &beat->agent_start);
        codec_u8(codec, &beat->previous_end);
        visit_u32(codec, &beat->interval_ms);
    }
    visit_metrics(codec, beat->metrics);
}

static void visit_bye(struct codec *codec, struct fact_bye *bye, struct instant now)
{
    visit_before(codec, &bye->at, now);
    codec_u64(codec, &bye->agent_start);
    codec_u8(codec, &bye->reason);
}

static void visit_absence(struct codec *codec, struct fact_absence *absence)
{
    uint8_t cause = (uint8_t)absence->cause;
    codec_i64(codec, &absence->from.ns);
    codec_i64(codec, &absence->to.ns);
    codec_u8(codec, &cause);
    bool open = !instant_before(absence->to, INSTANT_NEVER);
    if (cause >= CAUSE_COUNT || !instant_is_sane(absence->from) || !(open || instant_is_sane(absence->to)) ||
        !instant_before(absence->from, absence->to))
        codec->failed = true;
    else
        absence->cause = (enum cause)cause;
}

static void visit_lost(struct codec *codec, struct fact_lost *lost)
{
    codec_i64(codec, &lost->from.ns);
    codec_i64(codec, &lost->to.ns);
    if (!instant_is_sane(lost->from) || !instant_is_sane(lost->to))
        codec->failed = true;
}

static void visit_path(struct codec *codec, struct fact_path *path, struct instant now)
{
    uint8_t flags = (uint8_t)(path->broken | path->late << 1), state = (uint8_t)path->state,
            cause = (uint8_t)path->cause;
    visit_before(codec, &path->at, now);
    codec_u8(codec, &flags);
    path->broken = flags & 1;
    path->late = flags & 2;
    if (!path->broken)
        return;
    visit_before(codec, &path->back, now);
    codec_u8(codec, &state);
    codec_u8(codec, &cause);
    if (state >= STATE_COUNT || state == STATE_LATE || cause >= CAUSE_COUNT) {
        codec->failed = true;
        return;
    }
    path->state = (enum state)state;
    path->cause = (enum cause)cause;
}

static void visit_settings(struct codec *codec, struct fact_settings *settings)
{
    uint8_t conservative = settings->conservative;
    codec_svarint(codec, &settings->planned_limit_ns);
    codec_u8(codec, &conservative);
    settings->conservative = conservative != 0;
    if (settings->planned_limit_ns < 0 || settings->planned_limit_ns > INSTANT_LIMIT_NS / 2)
        codec->failed = true;
}

bool fact_has_host(enum fact_type type)
{
    return type == FACT_BEAT || type == FACT_BYE || type == FACT_FORGOTTEN || type == FACT_PATH ||
           type == FACT_AGREED || type == FACT_CUT_OFF;
}

void fact_visit(struct codec *codec, struct fact *fact, struct instant *previous)
{
    uint8_t type = (uint8_t)fact->type;
    codec_u8(codec, &type);
    visit_before(codec, &fact->now, *previous);
    *previous = fact->now;
    fact->type = (enum fact_type)type;
    switch (fact->type) {
    case FACT_BEAT:
        visit_u32(codec, &fact->host);
        visit_beat(codec, &fact->beat, fact->now);
        return;
    case FACT_BYE:
        visit_u32(codec, &fact->host);
        visit_bye(codec, &fact->bye, fact->now);
        return;
    case FACT_FORGOTTEN:
        visit_u32(codec, &fact->host);
        visit_before(codec, &fact->forgotten.at, fact->now);
        return;
    case FACT_PATH:
        visit_u32(codec, &fact->host);
        visit_path(codec, &fact->path, fact->now);
        return;
    case FACT_AGREED:
    case FACT_CUT_OFF: visit_u32(codec, &fact->host); return;
    case FACT_ABSENCE: visit_absence(codec, &fact->absence); return;
    case FACT_SETTINGS: visit_settings(codec, &fact->settings); return;
    case FACT_LOST: visit_lost(codec, &fact->lost); return;
    case FACT_JUDGED:
    case FACT_DROPS:
    case FACT_CONTACT:
    case FACT_WINDOWS: return;
    }
    codec->failed = true; /* of a newer version, or damaged */
}

void fact_round_metrics(double metrics[METRIC_COUNT])
{
    for (unsigned i = 0; i < METRIC_COUNT; i++)
        if (metric_catalogue[i].kind == METRIC_GAUGE)
            metrics[i] = (double)(float)metrics[i];
}
