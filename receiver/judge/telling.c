/* SPDX-License-Identifier: GPL-2.0-or-later */
/* telling.c - see telling.h. */
#include "receiver/judge/telling.h"

#include <stdlib.h>
#include <string.h>

static void tell_line(struct host *host, struct told *told, const struct silence_span *span, uint32_t restates,
                      const struct verdict_context *c)
{
    struct line_list *list = c->lines;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        struct transition *lines = realloc(list->lines, capacity * sizeof *lines);
        if (!lines) {
            *c->failed = true;
            return;
        }
        list->lines = lines;
        list->capacity = capacity;
    }
    int64_t latest = wall_seconds((struct wall){labels_of(c->labels, span->latest).ns + NS_PER_S - 1}); /* up */
    list->lines[list->count++] = (struct transition){
        .host = host->id,
        .number = ++host->lines,
        .at = told->at,
        .state = told->state,
        .cause = told->cause,
        .earliest = labels_second(c->labels, span->earliest),
        .latest = latest,
        .decided = labels_second(c->labels, c->now),
        .restates = restates,
        .before = host_live_state(host),
    };
    told->number = host->lines;
    host->state = told->state;
    host->cause = told->cause;
    host->since = told->at;
    host->relabelled = host->relabelled && told->state != STATE_UP;
    if (told->at < host->changed_from)
        host->changed_from = told->at;
}

/* A window of this host, by its pattern. One that fits only since the host was renamed holds only since then. False: none of its. */
static bool window_of(const struct host *host, const struct planned *planned, struct window *window)
{
    *window = planned->window;
    if (host->alias && name_matches(planned->pattern, host->alias))
        return true;
    window->from = instant_later(window->from, host->renamed_at);
    return name_matches(planned->pattern, host->name);
}

/* The windows that matter to this silence: all that have begun, and of those to come the next one, so that its beginning is
 * not missed. A window that was cancelled before it began has no length, and is none. */
static size_t choose_windows(const struct host *host, const struct verdict_context *c,
                             struct window windows[SILENCE_WINDOWS_MAX + 1])
{
    size_t count = 0;
    struct window window, next = {INSTANT_NEVER, INSTANT_NEVER};
    for (size_t i = 0; i < c->planned_count; i++) {
        if (!window_of(host, &c->planned[i], &window) || !instant_before(window.from, window.to) ||
            !instant_before(host->silence->facts.last, window.to))
            continue;
        if (!instant_before(c->now, window.from) && count < SILENCE_WINDOWS_MAX)
            windows[count++] = window;
        else if (instant_before(c->now, window.from) && instant_before(window.from, next.from))
            next = window;
    }
    if (instant_before(next.from, INSTANT_NEVER))
        windows[count++] = next;
    return count;
}

static struct circumstances circumstances_of(const struct host *host, const struct verdict_context *c,
                                             struct window windows[SILENCE_WINDOWS_MAX + 1])
{
    size_t count = choose_windows(host, c, windows);
    return (struct circumstances){
        .absences = c->absences,
        .absence_count = c->absence_count,
        .windows = windows,
        .window_count = count,
        .planned_limit_ns = c->planned_limit_ns,
        .conservative = c->conservative,
        .now = c->now,
    };
}

/* The spans that have begun, in whole seconds: of two in one second the later one stays. Sets when the next begins. */
static uint32_t plan(struct host *host, const struct verdict_context *c, struct told *told, struct silence_span *spans)
{
    struct window windows[SILENCE_WINDOWS_MAX + 1];
    struct circumstances circumstances = circumstances_of(host, c, windows);
    size_t span_count = silence_spans(&host->silence->facts, &circumstances, spans);
    host->silence->next_span = INSTANT_NEVER;
    uint32_t count = 0;
    for (size_t i = 0; i < span_count; i++) {
        if (instant_before(c->now, spans[i].from)) {
            host->silence->next_span = spans[i].from;
            break;
        }
        int64_t at = labels_second(c->labels, spans[i].from);
        while (count > 0 && told[count - 1].at >= at)
            count--;
        if (count > 0 && told[count - 1].state == spans[i].state && told[count - 1].cause == spans[i].cause)
            continue;
        told[count] = (struct told){.at = at, .state = spans[i].state, .cause = spans[i].cause};
        spans[count++] = spans[i];
    }
    return count;
}

/* Where the time begins of which every absence is still remembered; INT64_MIN if that is all of the silence. */
static int64_t remembered_from(const struct silence_record *record, const struct verdict_context *c)
{
    if (!instant_before(record->facts.last, c->absences_from))
        return INT64_MIN;
    return labels_second(c->labels, c->absences_from);
}

/* What was told of the time before that stays; of it the last entry is enough to go on from. What is told now goes on where that time
 * begins, with the state that it has there. */
static uint32_t keep_old(struct silence_record *record, const struct verdict_context *c, struct told *told,
                         struct silence_span *spans, uint32_t count)
{
    int64_t from = remembered_from(record, c);
    uint32_t old = 0, past = 0;
    while (old < record->told_count && record->told[old].at < from)
        old++;
    while (past < count && told[past].at < from)
        past++;
    if (old == 0 || past == 0)
        return count;
    record->told_count -= old - 1;
    memmove(record->told, record->told + old - 1, record->told_count * sizeof *record->told);
    bool same = told[past - 1].state == record->told[0].state && told[past - 1].cause == record->told[0].cause;
    if (!same && !(past < count && told[past].at == from)) { /* the past keeps a place for it */
        past--;
        told[past].at = from;
        spans[past] =
            (struct silence_span){.from = c->absences_from, .earliest = c->absences_from, .latest = c->absences_from};
    }
    bool goes_on =
        past < count && told[past].state == record->told[0].state && told[past].cause == record->told[0].cause;
    past += goes_on;
    count -= past;
    memmove(told + 1, told + past, count * sizeof *told);
    memmove(spans + 1, spans + past, count * sizeof *spans);
    told[0] = record->told[0];
    return count + 1;
}

static bool remember(struct silence_record *record, const struct told *told, uint32_t count)
{
    if (count > record->told_capacity) {
        struct told *grown = realloc(record->told, count * sizeof *grown);
        if (!grown)
            return false;
        record->told = grown;
        record->told_capacity = count;
    }
    if (count > 0)
        memcpy(record->told, told, count * sizeof *told);
    record->told_count = count;
    return true;
}

/* What it was before the end of the silence, had this receiver been there all the time; only if the host itself proves it. */
static bool find_proven_end(const struct host *host, const struct verdict_context *c, struct silence_span spans[2])
{
    struct window windows[SILENCE_WINDOWS_MAX + 1];
    struct silence_span all[SILENCE_SPANS_MAX];
    struct circumstances circumstances = circumstances_of(host, c, windows);
    circumstances.absence_count = 0;
    size_t count = silence_spans(&host->silence->facts, &circumstances, all);
    if (count < 2 || all[count - 1].state != STATE_UP)
        return false;
    spans[0] = all[count - 2];
    spans[1] = all[count - 1];
    return spans[0].cause == CAUSE_REBOOT || spans[0].cause == CAUSE_SHUTDOWN || spans[0].cause == CAUSE_FROZEN;
}

/* Remembers since when a host has been up, for other receivers that do not hear it. What was not heard here is not known to have
 * been up, whatever is recorded. */
static void note_return(struct host *host, const struct silence_span *spans, uint32_t count,
                        const struct verdict_context *c)
{
    struct silence_span proven[2];
    if (!host->silence->facts.ended || count < 2 || spans[count - 1].state != STATE_UP ||
        spans[count - 2].state == STATE_UP)
        return;
    const struct silence_span *last = spans + count - 2;
    if (last[0].state == STATE_UNKNOWN && last[0].cause != CAUSE_AGENT_STOPPED && find_proven_end(host, c, proven))
        last = proven;
    host->back_at = last[1].from;
    host->back_state = last[0].state;
    host->back_cause = last[0].cause;
}

void telling_update(struct host *host, const struct verdict_context *c)
{
    struct silence_record *record = host->silence;
    struct told told[SILENCE_SPANS_MAX];
    struct silence_span spans[SILENCE_SPANS_MAX];
    uint32_t count = keep_old(record, c, told, spans, plan(host, c, told, spans));
    uint32_t same = 0;
    while (same < count && same < record->told_count && told[same].at == record->told[same].at &&
           told[same].state == record->told[same].state && told[same].cause == record->told[same].cause) {
        told[same].number = record->told[same].number;
        same++;
    }
    /* What was told begins earlier than what is told now, or there is less to tell: take it back from there on. */
    if (same > 0 && same < record->told_count && (same == count || record->told[same].at < told[same].at)) {
        struct told back = told[same - 1];
        struct silence_span span = {.from = c->now, .earliest = record->facts.last, .latest = c->now};
        back.at = record->told[same].at;
        tell_line(host, &back, &span, record->told[same].number, c);
        told[same - 1].number = back.number;
    }
    for (uint32_t i = same; i < count; i++)
        tell_line(host, &told[i], &spans[i], i < record->told_count ? record->told[i].number : 0, c);
    if (!remember(record, told, count))
        *c->failed = true;
    note_return(host, spans, count, c);
}

void telling_begin(struct host *host, const struct verdict_context *c)
{
    const struct silence *s = &host->silence->facts;
    struct told first = {.at = labels_second(c->labels, s->last), .state = STATE_UP};
    if (s->by_path) { /* what was told last goes on: `path`, or what claims that time */
        first.state = host->state;
        first.cause = host->cause;
    }
    if (!remember(host->silence, &first, 1))
        *c->failed = true;
}

void telling_first(struct host *host, struct instant at, const struct verdict_context *c)
{
    struct told told = {.at = labels_second(c->labels, at), .state = STATE_UP, .cause = CAUSE_NONE};
    struct silence_span span = {.from = at, .earliest = at, .latest = at};
    tell_line(host, &told, &span, 0, c);
    host->back_at = at;
    host->back_state = STATE_UNKNOWN;
    host->back_cause = CAUSE_NONE;
}

void telling_cut(struct host *host, int64_t at, const struct verdict_context *c)
{
    struct told told = {.at = at, .state = STATE_UNKNOWN, .cause = CAUSE_CLOCK_STEP};
    if (host->forgotten)
        told.cause = host->cause;
    struct silence_span span = {.from = c->now, .earliest = c->now, .latest = c->now};
    tell_line(host, &told, &span, 0, c);
    host->changed_from = HOST_CHANGED_ALL;
    host->settled_to = host->settled_to < at ? host->settled_to : at;
    averages_cut(&host->averages, at);
}

void telling_forgotten(struct host *host, struct instant at, enum cause cause, const struct verdict_context *c)
{
    struct told told = {.at = labels_second(c->labels, at), .state = STATE_UNKNOWN, .cause = cause};
    struct silence_span span = {.from = at, .earliest = at, .latest = at};
    tell_line(host, &told, &span, 0, c);
}
