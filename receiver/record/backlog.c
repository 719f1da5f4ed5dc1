/* SPDX-License-Identifier: GPL-2.0-or-later */
/* backlog.c - see backlog.h. */
#include "receiver/record/backlog.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct backlog *backlog_create(struct instant since)
{
    struct backlog *backlog = calloc(1, sizeof *backlog);
    if (backlog)
        backlog->since = since;
    return backlog;
}

void backlog_destroy(struct backlog *backlog)
{
    if (backlog)
        free(backlog->beats);
    free(backlog);
}

static int reserve(struct backlog *backlog, uint32_t capacity)
{
    if (capacity <= backlog->capacity)
        return 0;
    if (capacity > BACKLOG_MAX)
        return -1;
    capacity = capacity < 8 ? 8 : capacity + capacity / 2;
    struct backlog_beat *beats = realloc(backlog->beats, capacity * sizeof *beats);
    if (!beats)
        return -1;
    backlog->beats = beats;
    backlog->capacity = capacity;
    return 0;
}

int backlog_put(struct backlog *backlog, const struct backlog_beat *beat)
{
    uint32_t i = backlog->count;
    while (i > 0 && backlog->beats[i - 1].number > beat->number)
        i--;
    if (i > 0 && backlog->beats[i - 1].number == beat->number)
        return 0;
    if (backlog->count == BACKLOG_MAX || reserve(backlog, backlog->count + 1) != 0)
        return -1;
    memmove(&backlog->beats[i + 1], &backlog->beats[i], (backlog->count - i) * sizeof *backlog->beats);
    backlog->beats[i] = *beat;
    backlog->count++;
    return 0;
}

void backlog_drop(struct backlog *backlog, uint32_t count)
{
    backlog->count -= count;
    memmove(backlog->beats, backlog->beats + count, backlog->count * sizeof *backlog->beats);
}

static void visit_wall(struct codec *codec, struct wall *wall)
{
    codec_i64(codec, &wall->ns);
    if (!instant_is_sane((struct instant){wall->ns}))
        codec->failed = true;
}

/* The catalogue of whoever wrote this may be shorter or longer than ours. */
static void visit_metrics(struct codec *codec, double values[METRIC_COUNT], uint32_t stored)
{
    for (uint32_t i = 0; i < stored || i < METRIC_COUNT; i++) {
        double ignored = NAN;
        double *value = i < METRIC_COUNT ? &values[i] : &ignored;
        if (i < stored)
            codec_f64(codec, value);
        else
            *value = NAN;
    }
}

static void visit_beat(struct codec *codec, struct backlog_beat *beat, uint32_t metrics)
{
    uint8_t new_boot = beat->new_boot;
    codec_u32(codec, &beat->number);
    visit_wall(codec, &beat->at);
    codec_u8(codec, &new_boot);
    visit_wall(codec, &beat->boot);
    codec_i64(codec, &beat->reach_ns);
    beat->new_boot = new_boot != 0;
    if (beat->reach_ns < 0 || beat->reach_ns > INSTANT_LIMIT_NS)
        codec->failed = true;
    visit_metrics(codec, beat->metrics, metrics);
}

void backlog_visit(struct codec *codec, struct backlog *backlog)
{
    uint32_t count = backlog->count, metrics = METRIC_COUNT;
    codec_i64(codec, &backlog->since.ns);
    codec_u32(codec, &count);
    codec_u32(codec, &metrics);
    if (!instant_is_sane(backlog->since) || metrics > 64 || count > BACKLOG_MAX)
        codec->failed = true;
    if (codec->failed || (codec_is_reading(codec) && reserve(backlog, count) != 0)) {
        codec->failed = true;
        return;
    }
    backlog->count = count;
    uint32_t before = 0;
    for (uint32_t i = 0; i < count && !codec->failed; i++) {
        if (codec_is_reading(codec))
            backlog->beats[i] = (struct backlog_beat){0};
        visit_beat(codec, &backlog->beats[i], metrics);
        if (backlog->beats[i].number <= before)
            codec->failed = true;
        before = backlog->beats[i].number;
    }
    if (codec->failed)
        backlog->count = 0;
}
