/* SPDX-License-Identifier: GPL-2.0-or-later */
/* timeline.h - the log of a host as a sequence of spans, and what follows from it.
 *
 * Folding the lines of the log in the order of their numbers gives spans that follow each other without gap or
 * overlap, from the first heartbeat on. What people said about outages is laid over that. From the spans come the seconds of each state and the updates of state.rrd.
 * Whole Unix seconds throughout. Pure. */
#ifndef RECEIVER_RECORD_TIMELINE_H
#define RECEIVER_RECORD_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "receiver/judge/state.h"

/* What somebody said about an outage afterwards: it counts as `state`, whatever the log told of it. */
struct timeline_relabel {
    int64_t id;
    uint32_t number; /* line of the log that first told of the outage */
    bool to_end; /* nothing but up followed when it was said: it holds for all that comes before the host is up again */
    enum state state;
    int64_t entered;
    char *reason; /* owned by the timeline */
};

struct timeline_span {
    int64_t from; /* up to the `from` of the next span; the last one is open */
    enum state state;
    enum state told; /* by the log; differs from `state` only where somebody relabelled it */
    enum cause cause;
    int64_t earliest, latest;               /* bounds of `from` */
    uint32_t number;                        /* line of the log that made it ... */
    uint32_t first_number;                  /* ... and the one that first told of this outage (follows `restates`) */
    const struct timeline_relabel *relabel; /* why `state` is not what was told, NULL: nobody relabelled it */
};

/* Line `number` tells what line `first_number` told first. */
struct timeline_alias {
    uint32_t number, first_number;
};

/* Zero-initialise; release with timeline_free. */
struct timeline {
    struct timeline_span *spans;
    size_t count;
    size_t capacity;
    struct timeline_alias *aliases; /* of lines that restate or prolong, taken back ones included */
    size_t alias_count;
    size_t alias_capacity;
    struct timeline_relabel *relabels; /* one an outage, the latest */
    size_t relabel_count;
};

/* Adds the next line of the log, in the order of their numbers. Neighbours of the same state and cause become one span.
 * Returns 0, or -1 out of memory. */
int timeline_add(struct timeline *timeline, const struct transition *line);
void timeline_free(struct timeline *timeline);
/* The line that first told of the outage that line `number` tells of. */
uint32_t timeline_first_number(const struct timeline *timeline, uint32_t number);

/* Adds what was said about an outage, in the order in which it was said: the last word on each is kept. The reason is
 * copied. Returns 0, or -1 out of memory. */
int timeline_add_relabel(struct timeline *timeline, const struct timeline_relabel *relabel);
/* Lays what was said over what was told, once all lines and all relabels are added (or some were added since). It is above
 * everything but an up that was told: a host that was heard was up. What was said about the outage itself comes first, then
 * what an earlier outage hands on to it. */
void timeline_relabel(struct timeline *timeline);

/* Says of the outage of span `index` that it counts as `relabel->state`, as somebody would now: fills in which outage, and whether
 * that holds for all that comes before the host is up again, and lays it over. `*open` tells whether the host is still in it.
 * Returns 0, or -1 out of memory. */
int timeline_say(struct timeline *timeline, size_t index, struct timeline_relabel *relabel, bool *open);

/* The seconds of each state in [from, to): index by enum state. Seconds before the first span count as unknown.
 * `unreachable` is the part of DOWN that has this cause. */
struct timeline_seconds {
    int64_t state[STATE_COUNT];
    int64_t unreachable;
};
void timeline_count(const struct timeline *timeline, int64_t from, int64_t to, struct timeline_seconds *out);
/* The number of spans that begin at or before `at`: the one before that index holds this second. */
size_t timeline_begun(const struct timeline *timeline, int64_t at);

/* One update of state.rrd: the state in (time of the update before, this time]. `known` false with `whole` false is
 * 0:0:0:0 (a begun minute that is unknown), with `whole` true U:U:U:0 (whole unknown minutes). */
struct timeline_update {
    int64_t at;
    enum state state;           /* UP, DOWN, ADMIN, or UNKNOWN */
    bool whole_unknown_minutes; /* with UNKNOWN: write U, else zeros */
};

/* Plans the updates that bring a state.rrd whose last update was at `written_to` up to `to`, by the rules of the
 * record: unknown time is 0:0:0:0 up to the next full minute, U for whole minutes, 0:0:0:0 for a begun minute at its
 * end. Time before the first span is unknown. Calls `emit` for each, times strictly increasing, the last one == `to`
 * (nothing at all if to <= written_to). Stops at the first non-zero return of `emit` and returns it. */
int timeline_plan_updates(const struct timeline *timeline, int64_t written_to, int64_t to,
                          int (*emit)(void *context, const struct timeline_update *update), void *context);

#endif
