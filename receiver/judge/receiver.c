/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receiver.c - see receiver.h. An event that is accepted becomes a fact, the fact is written to the output and applied; a replay
 * only applies. */
#include "receiver/judge/receiver.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "receiver/judge/forget.h"
#include "receiver/judge/path.h"
#include "receiver/judge/receiver_internal.h"
#include "receiver/judge/telling.h"

bool receiver_grow(void **array, size_t *capacity, size_t count, size_t size)
{
    if (count < *capacity)
        return true;
    size_t wanted = *capacity ? *capacity * 2 : 64;
    void *grown = realloc(*array, wanted * size);
    if (!grown)
        return false;
    *array = grown;
    *capacity = wanted;
    return true;
}

struct receiver *receiver_create(const struct receiver_options *options)
{
    struct receiver *receiver = calloc(1, sizeof *receiver);
    if (!receiver)
        return NULL;
    receiver->options = receiver->configured = *options;
    receiver->absences_from = (struct instant){INT64_MIN};
    return receiver;
}

void receiver_destroy(struct receiver *receiver)
{
    if (!receiver)
        return;
    host_table_free(&receiver->hosts);
    deadlines_free(&receiver->deadlines);
    peers_free(&receiver->peers);
    for (size_t i = 0; i < receiver->planned_count; i++)
        free(receiver->planned[i].pattern);
    free(receiver->planned);
    receiver_output_free(&receiver->output);
    sodium_memzero(receiver, sizeof *receiver);
    free(receiver);
}

static struct verdict_context context_at(struct receiver *receiver, struct instant now)
{
    return (struct verdict_context){
        .now = now,
        .labels = &receiver->labels,
        .absences = receiver->absences,
        .absence_count = receiver->absence_count,
        .absences_from = receiver->absences_from,
        .planned = receiver->planned,
        .planned_count = receiver->planned_count,
        .planned_limit_ns = receiver->options.planned_limit_ns,
        .conservative = receiver->options.conservative,
        .lines = &receiver->output.lines,
        .failed = &receiver->failed,
    };
}

/* ---- facts ---- */

void receiver_promise(struct receiver *receiver, const struct host *host)
{
    struct instant due = verdict_due(host);
    if (instant_before(due, INSTANT_NEVER))
        deadlines_promise(&receiver->deadlines, host->id, due);
}

void receiver_add_absence(struct receiver *receiver, const struct absence *absence)
{
    for (size_t i = 0; i < receiver->absence_count; i++) {
        struct absence *known = &receiver->absences[i];
        if (known->from.ns != absence->from.ns)
            continue;
        known->to = instant_earlier(known->to, absence->to); /* it has ended; or was loaded, and is now replayed */
        return;
    }
    if (receiver->absence_count == SILENCE_ABSENCES_MAX) {
        receiver->absences_from = receiver->absences[0].to;
        memmove(receiver->absences, receiver->absences + 1, (SILENCE_ABSENCES_MAX - 1) * sizeof *receiver->absences);
        receiver->absence_count--;
    }
    receiver->absences[receiver->absence_count++] = *absence;
}

/* Fact `number`. A host whose checkpoint contains it may be overdue all the same: then its deadline was moved to before `now`
 * later, when an absence ended. It is left for the next judgement. */
static void judge_due(struct receiver *receiver, struct instant now, uint64_t number)
{
    struct verdict_context context = context_at(receiver, now);
    while (!instant_before(now, deadlines_next(&receiver->deadlines)) && !receiver->failed) {
        struct host *host = receiver->hosts.hosts[deadlines_take(&receiver->deadlines)];
        if (host->position >= number) {
            deadlines_promise(&receiver->deadlines, host->id, instant_add(now, 1));
            continue;
        }
        verdict_judge(host, &context);
        receiver_promise(receiver, host);
        receiver_inquire(receiver, host, now);
    }
}

typedef void host_step(struct host *host, const struct absence *absence, const struct verdict_context *context);

static void step_refresh(struct host *host, const struct absence *absence, const struct verdict_context *context)
{
    (void)absence;
    verdict_refresh(host, context);
}

static void step_lost(struct host *host, const struct absence *lost, const struct verdict_context *context)
{
    verdict_lost(host, lost->from, lost->to, context);
}

static void step_contact(struct host *host, const struct absence *absence, const struct verdict_context *context)
{
    (void)absence;
    path_contact(host, context);
}

static void step_drops(struct host *host, const struct absence *absence, const struct verdict_context *context)
{
    (void)absence;
    (void)context;
    verdict_drops(host);
}

/* Steps every host whose checkpoint does not contain fact `number` yet. */
static void step_all(struct receiver *receiver, struct instant now, uint64_t number, const struct absence *absence,
                     host_step *step)
{
    struct verdict_context context = context_at(receiver, now);
    for (uint32_t id = 1; id <= receiver->hosts.count; id++) {
        struct host *host = receiver->hosts.hosts[id];
        if (!host || host->position >= number)
            continue;
        step(host, absence, &context);
        receiver_promise(receiver, host);
    }
}

void receiver_tell_cut(struct receiver *receiver, struct instant now, int64_t at)
{
    struct verdict_context context = context_at(receiver, now);
    for (uint32_t id = 1; id <= receiver->hosts.count; id++)
        if (receiver->hosts.hosts[id] && receiver->hosts.hosts[id]->lines > 0)
            telling_cut(receiver->hosts.hosts[id], at, &context);
}

static void apply_to_host(struct receiver *receiver, struct host *host, struct fact *fact)
{
    struct verdict_context context = context_at(receiver, fact->now);
    switch (fact->type) {
    case FACT_BEAT: verdict_beat(host, &fact->beat, &context); break;
    case FACT_BYE: verdict_bye(host, &fact->bye, &context); break;
    case FACT_PATH: path_heard(host, &fact->path, &context); break;
    case FACT_AGREED: path_agreed(host, &context); break;
    case FACT_CUT_OFF: path_cut_off(host, &context); break;
    default: forget_host(host, fact->forgotten.at, CAUSE_FORGOTTEN, &context); break;
    }
    receiver_promise(receiver, host);
}

void receiver_apply(struct receiver *receiver, struct fact *fact, uint64_t number)
{
    struct absence absence, lost;
    switch (fact->type) {
    case FACT_BEAT:
    case FACT_BYE:
    case FACT_FORGOTTEN:
    case FACT_PATH:
    case FACT_AGREED:
    case FACT_CUT_OFF:
        assert(fact->host <= receiver->hosts.count && receiver->hosts.hosts[fact->host]);
        apply_to_host(receiver, receiver->hosts.hosts[fact->host], fact);
        return;
    case FACT_JUDGED: judge_due(receiver, fact->now, number); return;
    case FACT_ABSENCE:
        absence = (struct absence){fact->absence.from, fact->absence.to, fact->absence.cause, number};
        receiver_add_absence(receiver, &absence);
        step_all(receiver, fact->now, number, &absence, verdict_absence);
        return;
    case FACT_SETTINGS:
        receiver->options.planned_limit_ns = fact->settings.planned_limit_ns;
        receiver->options.conservative = fact->settings.conservative;
        return;
    case FACT_LOST:
        lost = (struct absence){.from = fact->lost.from, .to = fact->lost.to};
        step_all(receiver, fact->now, number, &lost, step_lost);
        return;
    case FACT_CONTACT: step_all(receiver, fact->now, number, NULL, step_contact); return;
    case FACT_DROPS: step_all(receiver, fact->now, number, NULL, step_drops); return;
    case FACT_WINDOWS: step_all(receiver, fact->now, number, NULL, step_refresh); return;
    }
}

bool receiver_grow_facts(struct receiver_output *out, size_t count)
{
    while (out->facts_capacity - out->facts_len < count * FACT_LEN_MAX) {
        size_t capacity = out->facts_capacity ? out->facts_capacity * 2 : 4096;
        uint8_t *facts = realloc(out->facts, capacity);
        if (!facts)
            return false;
        out->facts = facts;
        out->facts_capacity = capacity;
    }
    return true;
}

/* Writes a fact to the output and returns its number. */
static uint64_t note(struct receiver *receiver, struct fact *fact)
{
    struct receiver_output *out = &receiver->output;
    if (!receiver_grow_facts(out, 1)) {
        receiver->failed = true;
        return receiver->last_fact;
    }
    struct codec codec = codec_writer(out->facts + out->facts_len, FACT_LEN_MAX);
    fact_visit(&codec, fact, &receiver->last_fact_at);
    assert(!codec.failed);
    out->facts_len += codec.pos;
    return ++receiver->last_fact;
}

/* Every entry of the journal begins with the settings: those before it may be trimmed. */
static void begin_entry(struct receiver *receiver, struct instant now)
{
    receiver->output.first_fact = receiver->last_fact + 1;
    receiver->last_fact_at = (struct instant){0};
    struct fact fact = {.type = FACT_SETTINGS, .now = now};
    fact.settings = (struct fact_settings){receiver->options.planned_limit_ns, receiver->options.conservative};
    (void)note(receiver, &fact);
}

void receiver_note(struct receiver *receiver, struct fact *fact)
{
    if (receiver->output.facts_len == 0)
        begin_entry(receiver, fact->now);
    uint64_t number = note(receiver, fact);
    receiver_apply(receiver, fact, number);
}

/* ---- running ---- */

void receiver_set_options(struct receiver *receiver, struct instant now, int64_t planned_limit_ns, bool conservative)
{
    struct fact fact = {.type = FACT_SETTINGS, .now = now};
    fact.settings = (struct fact_settings){planned_limit_ns, conservative};
    receiver_note(receiver, &fact);
}

void receiver_judge(struct receiver *receiver, struct instant now)
{
    receiver_expect_contact(receiver, now);
    receiver_distrust(receiver, now);
    if (instant_before(now, deadlines_next(&receiver->deadlines)))
        return;
    /* Most entries that come up are early promises. Only a judgement that can change something is a fact. */
    while (!instant_before(now, deadlines_next(&receiver->deadlines))) {
        uint32_t id = receiver->deadlines.entries[0].host;
        const struct host *host = receiver->hosts.hosts[id];
        if (!instant_before(now, verdict_due(host)))
            break;
        (void)deadlines_take(&receiver->deadlines);
        receiver_promise(receiver, host);
    }
    if (instant_before(now, deadlines_next(&receiver->deadlines)))
        return;
    receiver_weigh_peers(receiver, now);
    struct fact fact = {.type = FACT_JUDGED, .now = now};
    receiver_note(receiver, &fact);
}

struct instant receiver_due(const struct receiver *receiver)
{
    const struct absence *open = receiver_absence(receiver);
    if (open && open->cause == CAUSE_RECEIVER_OVERLOADED) /* whether it goes on is looked at each second */
        return instant_earlier(instant_add(receiver->observation.survey.at, NS_PER_S),
                               deadlines_next(&receiver->deadlines));
    return deadlines_next(&receiver->deadlines);
}

static void windows_changed(struct receiver *receiver, struct instant now)
{
    struct fact fact = {.type = FACT_WINDOWS, .now = now};
    receiver_note(receiver, &fact);
}

int receiver_add_window(struct receiver *receiver, struct instant now, int64_t id, const char *pattern,
                        struct window window)
{
    if (receiver_load_window(receiver, id, pattern, window) != 0)
        return -1;
    windows_changed(receiver, now);
    return 0;
}

int receiver_end_window(struct receiver *receiver, struct instant now, int64_t id)
{
    for (size_t i = 0; i < receiver->planned_count; i++) {
        if (receiver->planned[i].id != id)
            continue;
        receiver->planned[i].window.to = instant_later(now, receiver->planned[i].window.from);
        /* That it was moved before may be on its way to the disk in the same batch. */
        for (size_t k = 0; k < receiver->output.moved_count; k++)
            if (receiver->output.moved[k].id == id)
                receiver->output.moved[k].window = receiver->planned[i].window;
        windows_changed(receiver, now);
        return 0;
    }
    return -1;
}

int receiver_forget(struct receiver *receiver, struct instant now, uint32_t id, struct instant at)
{
    struct host *host = id <= receiver->hosts.count ? receiver->hosts.hosts[id] : NULL;
    if (!host || host->forgotten)
        return -1;
    struct fact fact = {.type = FACT_FORGOTTEN, .now = now, .host = id, .forgotten = {at}};
    receiver_note(receiver, &fact);
    return 0;
}

const struct planned *receiver_windows(const struct receiver *receiver, size_t *count)
{
    *count = receiver->planned_count;
    return receiver->planned;
}

/* ---- storing and looking ---- */

const struct line_list *receiver_lines(const struct receiver *receiver)
{
    return &receiver->output.lines;
}

bool receiver_has_output(const struct receiver *receiver)
{
    const struct receiver_output *out = &receiver->output;
    return out->facts_len > 0 || out->lines.count > 0 || out->created_count > 0 || out->absence_count > 0 ||
           out->part_count > 0 || out->moved_count > 0 || out->renamed_count > 0;
}

void receiver_take(struct receiver *receiver, struct receiver_output *out)
{
    *out = receiver->output;
    memset(&receiver->output, 0, sizeof receiver->output);
}

void receiver_output_free(struct receiver_output *output)
{
    free(output->lines.lines);
    free(output->facts);
    free(output->heard);
    free(output->created);
    free(output->renamed);
    free(output->absences);
    free(output->parts);
    free(output->moved);
    memset(output, 0, sizeof *output);
}

size_t receiver_unsaved(const struct receiver *receiver)
{
    return receiver->output.facts_len + receiver->output.heard_count * sizeof *receiver->output.heard;
}

void receiver_give_up_facts(struct receiver *receiver, struct instant now)
{
    struct receiver_output *out = &receiver->output;
    free(out->facts);
    free(out->heard);
    out->facts = NULL;
    out->heard = NULL;
    out->facts_len = out->facts_capacity = 0;
    out->heard_count = out->heard_capacity = 0;
    /* There must be an entry, behind which all that was given up lies: absences are loaded by that. */
    begin_entry(receiver, now);
}

void receiver_hear_again(struct receiver *receiver)
{
    struct receiver_output *out = &receiver->output;
    out->heard_count = 0;
    for (uint32_t id = 1; id <= receiver->hosts.count; id++) {
        const struct host *host = receiver->hosts.hosts[id];
        for (uint32_t back = 0; host && back < NUMBERS_BITS && back < host->numbers.newest; back++) {
            uint32_t number = host->numbers.newest - back;
            void *heard = out->heard;
            if (!numbers_is_unstored(&host->numbers, number))
                continue;
            if (!receiver_grow(&heard, &out->heard_capacity, out->heard_count, sizeof *out->heard))
                return; /* these are never called safe, which loses nothing */
            out->heard = heard;
            out->heard[out->heard_count++] = (struct heard_beat){host->id, number, host->agent_start};
        }
    }
}

void receiver_stored(struct receiver *receiver, const struct heard_beat *heard, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct host *host = receiver->hosts.hosts[heard[i].host];
        if (host->agent_start == heard[i].agent_start)
            numbers_store(&host->numbers, heard[i].number);
    }
}

uint64_t receiver_last_fact(const struct receiver *receiver)
{
    return receiver->last_fact;
}

int64_t receiver_settled_to(struct receiver *receiver, struct host *host, struct instant now)
{
    struct verdict_context context = context_at(receiver, now);
    return verdict_settled_to(host, &context);
}

const struct host_table *receiver_hosts(const struct receiver *receiver)
{
    return &receiver->hosts;
}

const struct labels *receiver_labels(const struct receiver *receiver)
{
    return &receiver->labels;
}

const uint64_t *receiver_statistics(const struct receiver *receiver)
{
    return receiver->statistics;
}

bool receiver_has_failed(const struct receiver *receiver)
{
    return receiver->failed;
}
