/* SPDX-License-Identifier: GPL-2.0-or-later */
/* backlog.c - see backlog.h. */
#include "agent/backlog.h"

#include <string.h>

#include "agent/retry.h"

/* A receiver stores what it acks within a second or two: later than this it is lost, or its disk is in trouble. */
#define PATIENCE_MIN_NS (3 * NS_PER_S)
/* It doubles while nothing becomes safe, so that a receiver with a full disk is not sent everything over and over. */
#define PATIENCE_MAX_NS (3600 * NS_PER_S)
#define PACE_MAX_NS (1800 * NS_PER_S)
/* So long an ack may take, or as long as it takes to send BACKLOG_RECENT others. */
#define AGAIN_NS (3 * NS_PER_S)

static bool has_arrived(const struct backlog *backlog, uint32_t number)
{
    return backlog->arrived[number % AGENT_KEEP_MAX / 64] >> (number % 64) & 1;
}

static void set_arrived(struct backlog *backlog, uint32_t number, bool arrived)
{
    uint64_t bit = UINT64_C(1) << (number % 64);
    uint64_t *word = &backlog->arrived[number % AGENT_KEEP_MAX / 64];
    *word = arrived ? *word | bit : *word & ~bit;
}

void backlog_init(struct backlog *backlog, uint32_t number)
{
    *backlog = (struct backlog){.base = number, .safe = number, .patience_ns = PATIENCE_MIN_NS};
}

void backlog_doubt(struct backlog *backlog, uint64_t counter)
{
    struct instant next = backlog->next;
    backlog_init(backlog, backlog->base);
    backlog->since = backlog->safe_counter = counter;
    backlog->next = next;
}

void backlog_add(struct backlog *backlog, uint32_t number, bool acked)
{
    set_arrived(backlog, number, acked);
}

bool backlog_ack(struct backlog *backlog, uint64_t counter, uint32_t number, uint32_t safe, uint32_t newest)
{
    if (counter <= backlog->since)
        return false;
    /* A number whose place belongs to a newer one by now is none of those that are kept. */
    if (number != 0 && number < newest && newest - number <= AGENT_KEEP_MAX) {
        set_arrived(backlog, number, true);
        backlog->unanswered = 0;
    }
    if (safe == 0 || counter <= backlog->safe_counter) /* 0 only says that the oldest one is not there yet */
        return true;
    safe = safe > newest ? newest : safe < backlog->base ? backlog->base : safe;
    if (safe > backlog->safe)
        backlog->patience_ns = PATIENCE_MIN_NS;
    backlog->safe = safe;
    backlog->safe_counter = counter;
    return true;
}

uint32_t backlog_oldest(const struct backlog *backlog, const struct kept *kept, uint32_t newest)
{
    uint32_t oldest = kept_after(kept, backlog->safe);
    return oldest ? oldest : newest;
}

void backlog_watch(struct backlog *backlog, const struct kept *kept, uint32_t newest, struct instant due,
                   struct instant now)
{
    uint32_t oldest = backlog_oldest(backlog, kept, newest);
    bool waits = oldest > backlog->safe && (oldest == newest || has_arrived(backlog, oldest));
    if (!waits || oldest != backlog->watched) {
        backlog->watched = waits ? oldest : 0;
        backlog->watched_at = now;
    } else if (instant_since(due, backlog->watched_at) >= backlog->patience_ns) {
        memset(backlog->arrived, 0, sizeof backlog->arrived);
        backlog->watched = 0;
        if (backlog->patience_ns < PATIENCE_MAX_NS)
            backlog->patience_ns *= 2;
    }
}

static uint32_t missing_after(const struct backlog *backlog, const struct kept *kept, uint32_t number)
{
    do
        number = kept_after(kept, number);
    while (number && has_arrived(backlog, number));
    return number;
}

/* When it may be sent: not twice before its ack can be here. */
static struct instant ready_at(const struct backlog *backlog, uint32_t number, struct instant ready)
{
    for (unsigned i = 0; i < BACKLOG_RECENT; i++)
        if (backlog->recent[i].number == number)
            ready = instant_later(ready, instant_add(backlog->recent[i].at, AGAIN_NS));
    return ready;
}

uint32_t backlog_next(const struct backlog *backlog, const struct kept *kept, struct instant now, struct instant *at)
{
    struct instant soonest = instant_later(backlog->next, now);
    uint32_t next = 0;
    *at = INSTANT_NEVER;
    /* Looks no further than just behind those that were sent of late. */
    for (uint32_t n = missing_after(backlog, kept, backlog->safe); n && instant_before(soonest, *at);
         n = missing_after(backlog, kept, n)) {
        struct instant ready = ready_at(backlog, n, soonest);
        if (instant_before(ready, *at)) {
            *at = ready;
            next = n;
        }
    }
    return next;
}

void backlog_sent(struct backlog *backlog, uint32_t number, struct instant now, int64_t interval_ns)
{
    int64_t pace_ns = retry_unit_ns(interval_ns);
    if (pace_ns > interval_ns / 5)
        pace_ns = interval_ns / 5;
    backlog->recent[backlog->recent_count++ % BACKLOG_RECENT] = (struct backlog_recent){number, now};
    /* A receiver that wants none of them is not to be sent more of these than of the others. */
    for (uint32_t i = ++backlog->unanswered / BACKLOG_RECENT; i > 0 && pace_ns < PACE_MAX_NS; i--)
        pace_ns *= 2;
    backlog->next = instant_add(now, pace_ns);
}
