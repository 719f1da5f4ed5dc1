/* SPDX-License-Identifier: GPL-2.0-or-later */
/* verdict.h - steps one host: what a beat, a goodbye, a lapsed expectation or an absence of the receiver makes of it.
 *
 *            beat in time                       beat                        up, or what settlement says
 *          +------------+         +-------------------------------------------------------------+
 *          v            |         |                                                             |
 *   (first beat) --->  up  --- expectation 1 lapses ---> late --- expectation 2 lapses --->  down (silent)
 *                       |                                  |
 *                       +---- goodbye ---> admin (shutdown) | unknown once late (agent stopped) --- limit ---> down
 *
 * These states are not stored moves: each step updates the facts of the silence and tells the log whatever differs between what
 * silence_spans says now and what was told before. Pure; time is in the context. */
#ifndef RECEIVER_JUDGE_VERDICT_H
#define RECEIVER_JUDGE_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

#include "receiver/judge/fact.h"
#include "receiver/judge/host.h"
#include "receiver/judge/labels.h"
#include "receiver/judge/silence.h"

/* A maintenance window as the operator gave it. */
struct planned {
    int64_t id;    /* in the database */
    char *pattern; /* owned by the list it stands in */
    struct window window;
};

/* Lines for the log, in order. Zero-initialise; free lines when done. */
struct line_list {
    struct transition *lines;
    size_t count, capacity;
};

struct verdict_context {
    struct instant now;
    const struct labels *labels;
    const struct absence *absences; /* the latest ones, in order */
    size_t absence_count;
    struct instant absences_from; /* earlier ones are forgotten: spans before this stay as told */
    const struct planned *planned;
    size_t planned_count;
    int64_t planned_limit_ns;
    bool conservative;
    struct line_list *lines; /* out */
    bool *failed;            /* out: set when out of memory; a line is missing then */
};

/* Begins a silence of the host, in place of the one before; its last sign of life was at `last`. False: out of memory, `failed` is set.
 * For verdict.c and path.c, which then call telling_begin. */
bool verdict_begin_silence(struct host *host, struct instant last, const struct verdict_context *context);

/* Whether a beat ends a silence that was judged down. */
bool verdict_returns(const struct host *host, const struct fact_beat *beat);
/* Whether judging the host now would be a verdict. */
bool verdict_is_pending(const struct host *host, struct instant now);
/* Whether a beat was heard before: then it is no fact. */
bool verdict_is_known(const struct host *host, const struct fact_beat *beat);
/* Takes an accepted beat that is not known. */
void verdict_beat(struct host *host, struct fact_beat *beat, const struct verdict_context *context);
void verdict_bye(struct host *host, const struct fact_bye *bye, const struct verdict_context *context);
/* Judges what is due by now. */
void verdict_judge(struct host *host, const struct verdict_context *context);
/* Takes note of an absence that has just ended, or begun without an end (it is already in the context). */
void verdict_absence(struct host *host, const struct absence *absence, const struct verdict_context *context);
/* Whether a host of that interval, last heard then, was lost with those whose last beats lie in [from, to]: the longer an interval, the
 * further apart they may be. */
bool verdict_is_among_lost(struct instant last, int64_t interval_ns, struct instant from, struct instant to);
/* Most hosts fell silent at once: their last beats lie in [from, to]. */
void verdict_lost(struct host *host, struct instant from, struct instant to, const struct verdict_context *context);
/* The kernel dropped datagrams, which may have been this host's: it gets a margin more, twice in one silence at most. */
void verdict_drops(struct host *host);
/* Something outside the host has changed (a maintenance window). */
void verdict_refresh(struct host *host, const struct verdict_context *context);

/* When the host is to be judged next. */
struct instant verdict_due(const struct host *host);

/* The watermark: the second up to which the record of this host will not change any more by itself. Never goes back. */
int64_t verdict_settled_to(struct host *host, const struct verdict_context *context);

#endif
