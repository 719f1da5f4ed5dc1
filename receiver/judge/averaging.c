/* SPDX-License-Identifier: GPL-2.0-or-later */
/* averaging.c - see averaging.h. */
#include "receiver/judge/averaging.h"

#include <math.h>
#include <string.h>

#define WAIT_NS (900 * NS_PER_S)

static void average_one(struct host *host, const struct unaveraged_beat *beat, const struct verdict_context *c)
{
    if (averages_add(&host->averages, beat->at, beat->metrics, beat->new_boot ? &beat->boot : NULL, beat->reach_ns) !=
        0)
        *c->failed = true;
    host->averaged = beat->number;
}

/* Averages the first `count` beats that wait. */
static void average(struct host *host, uint32_t count, const struct verdict_context *c)
{
    for (uint32_t i = 0; i < count; i++)
        average_one(host, &host->unaveraged->beats[i], c);
    if (count > 0)
        unaveraged_drop(host->unaveraged, count);
    if (host->unaveraged->count == 0) {
        unaveraged_destroy(host->unaveraged);
        host->unaveraged = NULL;
    }
}

/* Whether the agent still keeps a beat between the last one that was averaged and beat `number`, which we never heard. */
static bool is_missing(const struct host *host, uint32_t number)
{
    uint32_t first = host->averaged + 1;
    if (first < host->oldest_kept)
        first = host->oldest_kept;
    if (number > NUMBERS_BITS && first < number - NUMBERS_BITS)
        first = number - NUMBERS_BITS; /* all before are too old to be told from known ones */
    for (uint32_t i = first; i < number; i++)
        if (!numbers_is_known(&host->numbers, i))
            return true;
    return false;
}

static void drain(struct host *host, const struct verdict_context *c)
{
    bool expired = instant_since(c->now, host->unaveraged->since) >= WAIT_NS;
    while (host->unaveraged && (expired || !is_missing(host, host->unaveraged->beats[0].number)))
        average(host, 1, c);
}

void averaging_give_up(struct host *host, const struct verdict_context *c)
{
    if (host->unaveraged)
        average(host, host->unaveraged->count, c);
}

/* What people are shown is of the latest beat, also while it waits: rates since the one before. */
static void show(struct host *host, const struct unaveraged_beat *beat)
{
    const struct unaveraged *unaveraged = host->unaveraged;
    const struct unaveraged_beat *before =
        unaveraged && unaveraged->count > 0 ? &unaveraged->beats[unaveraged->count - 1] : NULL;
    averages_show(&host->averages, before ? before->at : host->averages.last,
                  before ? before->metrics : host->averages.counters, beat->at, beat->metrics);
}

static void wait_in_line(struct host *host, const struct unaveraged_beat *beat, const struct verdict_context *c)
{
    if (!host->unaveraged && !(host->unaveraged = unaveraged_create(c->now))) {
        *c->failed = true;
        return;
    }
    if (host->unaveraged->count == UNAVERAGED_MAX)
        average(host, host->unaveraged->count / 2, c); /* so many that waiting is of no use */
    if (unaveraged_put(host->unaveraged, beat) != 0) {
        *c->failed = true;
        average(host, 0, c); /* an empty list is none */
        return;
    }
    /* The counters began anew before the first beat of that boot, not before the first that was heard. */
    struct unaveraged_beat *beats = host->unaveraged->beats;
    if (host->unaveraged->count > 1 && beats[1].new_boot && beats[0].number == beat->number) {
        beats[0].new_boot = true;
        beats[0].boot = beats[1].boot;
        beats[1].new_boot = false;
    }
}

void averaging_beat(struct host *host, const struct fact_beat *beat, const struct wall *boot, bool newest, bool afresh,
                    const struct verdict_context *c)
{
    struct unaveraged_beat waiting = {.number = beat->number,
                                      .at = labels_of(c->labels, beat->at),
                                      .new_boot = boot != NULL,
                                      .reach_ns = 2 * expectation_interval_ns(&host->expectation)};
    if (boot)
        waiting.boot = *boot;
    memcpy(waiting.metrics, beat->metrics, sizeof waiting.metrics);
    if (afresh) {
        averaging_give_up(host, c);
        /* The record of a host begins with the first beat that is heard; what a later run of the agent kept before that belongs to it. */
        bool keeps = host->averages.begun && beat->oldest_kept > 0 && beat->oldest_kept < beat->number;
        host->oldest_kept = keeps ? beat->oldest_kept : beat->number;
        host->averaged = host->oldest_kept - 1;
    } else if (newest) {
        host->oldest_kept = beat->oldest_kept;
    }
    if (beat->number <= host->averaged)
        return; /* came too late */
    bool in_turn = newest && !host->unaveraged && !is_missing(host, beat->number);
    if (in_turn) { /* the rule: nothing waits, and no memory is needed */
        average_one(host, &waiting, c);
        return;
    }
    if (newest)
        show(host, &waiting);
    if (!host->unaveraged && !newest)
        return; /* nobody waits for it: what is newer was averaged */
    wait_in_line(host, &waiting, c);
    if (host->unaveraged)
        drain(host, c);
}
