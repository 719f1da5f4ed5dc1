/* SPDX-License-Identifier: GPL-2.0-or-later */
/* timeline.c - see timeline.h.
 *
 * Every later line takes back what earlier lines said from its second on. So the fold is a stack: drop the spans that
 * begin at or after the new line, then push it. Numbers therefore grow along the spans, as times do. */
#include "receiver/record/timeline.h"

#include <stdlib.h>
#include <string.h>

#define MINUTE_S 60

/* The full minute at or before, and at or after, a second (also before 1970). */
static int64_t minute_before(int64_t at)
{
    int64_t over = at % MINUTE_S;
    return at - (over < 0 ? over + MINUTE_S : over);
}

static int64_t minute_after(int64_t at)
{
    return minute_before(at + MINUTE_S - 1);
}

/* The line that first told what line `number` tells. Only lines that restate another one, or only prolong a span, have
 * an alias. They are kept because a restated line may long have been taken back by then: its span is no longer there
 * to be asked. */
uint32_t timeline_first_number(const struct timeline *timeline, uint32_t number)
{
    size_t low = 0, high = timeline->alias_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (timeline->aliases[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < timeline->alias_count && timeline->aliases[low].number == number)
        return timeline->aliases[low].first_number;
    return number;
}

static int reserve_span(struct timeline *timeline)
{
    if (timeline->count < timeline->capacity)
        return 0;
    size_t capacity = timeline->capacity ? timeline->capacity * 2 : 2;
    struct timeline_span *spans = realloc(timeline->spans, capacity * sizeof *spans);
    if (!spans)
        return -1;
    timeline->spans = spans;
    timeline->capacity = capacity;
    return 0;
}

static int add_alias(struct timeline *timeline, uint32_t number, uint32_t first_number)
{
    if (timeline->alias_count == timeline->alias_capacity) {
        size_t capacity = timeline->alias_capacity ? timeline->alias_capacity * 2 : 2;
        struct timeline_alias *aliases = realloc(timeline->aliases, capacity * sizeof *aliases);
        if (!aliases)
            return -1;
        timeline->aliases = aliases;
        timeline->alias_capacity = capacity;
    }
    timeline->aliases[timeline->alias_count++] = (struct timeline_alias){number, first_number};
    return 0;
}

int timeline_add(struct timeline *timeline, const struct transition *line)
{
    size_t kept = timeline->count;
    while (kept > 0 && timeline->spans[kept - 1].from >= line->at)
        kept--;
    const struct timeline_span *last = kept > 0 ? &timeline->spans[kept - 1] : NULL;
    bool prolongs = last && last->told == line->state && last->cause == line->cause;
    uint32_t first_number = line->restates ? timeline_first_number(timeline, line->restates) : line->number;
    if (prolongs)
        first_number = last->first_number;
    /* What can fail comes first, so that a line is added wholly or not at all. */
    if (reserve_span(timeline) < 0)
        return -1;
    if (first_number != line->number && add_alias(timeline, line->number, first_number) < 0)
        return -1;
    timeline->count = kept;
    if (!prolongs)
        timeline->spans[timeline->count++] = (struct timeline_span){.from = line->at,
                                                                    .state = line->state,
                                                                    .told = line->state,
                                                                    .cause = line->cause,
                                                                    .earliest = line->earliest,
                                                                    .latest = line->latest,
                                                                    .number = line->number,
                                                                    .first_number = first_number};
    return 0;
}

void timeline_free(struct timeline *timeline)
{
    free(timeline->spans);
    free(timeline->aliases);
    for (size_t i = 0; i < timeline->relabel_count; i++)
        free(timeline->relabels[i].reason);
    free(timeline->relabels);
    *timeline = (struct timeline){0};
}

int timeline_add_relabel(struct timeline *timeline, const struct timeline_relabel *relabel)
{
    struct timeline_relabel *relabels = timeline->relabels;
    char *reason = strdup(relabel->reason);
    size_t i = 0;
    while (i < timeline->relabel_count && relabels[i].number != relabel->number)
        i++;
    /* Few are ever said of one host: room is made for one at a time. */
    if (reason && i == timeline->relabel_count)
        relabels = realloc(relabels, (i + 1) * sizeof *relabels);
    if (!reason || !relabels) {
        free(reason);
        return -1;
    }
    timeline->relabels = relabels;
    if (i < timeline->relabel_count)
        free(relabels[i].reason);
    else
        timeline->relabel_count++;
    relabels[i] = *relabel;
    relabels[i].reason = reason;
    return 0;
}

static const struct timeline_relabel *find_relabel(const struct timeline *timeline, uint32_t number)
{
    for (size_t i = 0; i < timeline->relabel_count; i++)
        if (timeline->relabels[i].number == number)
            return &timeline->relabels[i];
    return NULL;
}

void timeline_relabel(struct timeline *timeline)
{
    const struct timeline_relabel *reaching = NULL;
    for (size_t i = 0; i < timeline->count; i++) {
        struct timeline_span *span = &timeline->spans[i];
        bool up = span->told == STATE_UP;
        const struct timeline_relabel *own = up ? NULL : find_relabel(timeline, span->first_number);
        if (up || (own && own->to_end))
            reaching = own;
        span->relabel = own ? own : reaching;
        span->state = span->relabel ? span->relabel->state : span->told;
    }
}

int timeline_say(struct timeline *timeline, size_t index, struct timeline_relabel *relabel, bool *open)
{
    const struct timeline_span *span = &timeline->spans[index];
    const struct timeline_span *next = index + 1 < timeline->count ? span + 1 : NULL;
    relabel->number = span->first_number;
    /* What was once said of an outage to its end is corrected to its end. */
    bool reached = span->relabel && span->relabel->number == relabel->number && span->relabel->to_end;
    relabel->to_end = reached || !next || next->told == STATE_UP;
    if (timeline_add_relabel(timeline, relabel) != 0)
        return -1;
    timeline_relabel(timeline);
    const struct timeline_relabel *last = timeline->spans[timeline->count - 1].relabel;
    *open = last && last->number == relabel->number;
    return 0;
}

size_t timeline_begun(const struct timeline *timeline, int64_t at)
{
    size_t low = 0, high = timeline->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (timeline->spans[middle].from <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void timeline_count(const struct timeline *timeline, int64_t from, int64_t to, struct timeline_seconds *out)
{
    *out = (struct timeline_seconds){0};
    for (size_t next = timeline_begun(timeline, from); from < to; next++) {
        int64_t until = next < timeline->count && timeline->spans[next].from < to ? timeline->spans[next].from : to;
        const struct timeline_span *span = next > 0 ? &timeline->spans[next - 1] : NULL;
        out->state[span ? span->state : STATE_UNKNOWN] += until - from;
        if (span && span->state == STATE_DOWN && span->cause == CAUSE_UNREACHABLE)
            out->unreachable += until - from;
        from = until;
    }
}

/* Unknown from `from` up to `to`. A minute that is unknown in part only must be known to be so: zeros keep the exact
 * share of its known seconds, where U would let librrd stretch the known part over the whole minute. */
static int plan_unknown(int64_t from, int64_t to, int (*emit)(void *, const struct timeline_update *), void *context)
{
    int64_t first_full = minute_after(from);
    int64_t last_full = minute_before(to);
    struct timeline_update zeros = {.state = STATE_UNKNOWN};
    int stop = 0;
    if (last_full > first_full) {
        struct timeline_update whole = {.at = last_full, .state = STATE_UNKNOWN, .whole_unknown_minutes = true};
        zeros.at = first_full;
        if (first_full > from)
            stop = emit(context, &zeros);
        if (stop == 0)
            stop = emit(context, &whole);
        if (stop != 0 || to == last_full)
            return stop;
    }
    zeros.at = to;
    return emit(context, &zeros);
}

int timeline_plan_updates(const struct timeline *timeline, int64_t written_to, int64_t to,
                          int (*emit)(void *context, const struct timeline_update *update), void *context)
{
    int stop = 0;
    size_t next = timeline_begun(timeline, written_to);
    for (int64_t from = written_to; stop == 0 && from < to;) {
        enum state state = next > 0 ? timeline->spans[next - 1].state : STATE_UNKNOWN;
        /* Spans that differ in their cause only are one stretch for the file. */
        while (next < timeline->count && timeline->spans[next].state == state)
            next++;
        int64_t until = next < timeline->count && timeline->spans[next].from < to ? timeline->spans[next].from : to;
        if (state == STATE_UP || state == STATE_DOWN || state == STATE_ADMIN) {
            struct timeline_update update = {.at = until, .state = state};
            stop = emit(context, &update);
        } else {
            stop = plan_unknown(from, until, emit, context);
        }
        from = until;
        next++;
    }
    return stop;
}
