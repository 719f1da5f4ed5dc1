/* SPDX-License-Identifier: GPL-2.0-or-later */
/* backlog.c - see backlog.h. */
#include "agent/backlog.h"

#include <string.h>

/* A receiver stores what it acks within a second or two: later than this it is lost, or its disk is in trouble. */
#define PATIENCE_MIN_NS (3 * NS_PER_S)
/* It doubles while nothing becomes safe, so that a receiver with a full disk is not sent everything over and over. */
#define PATIENCE_MAX_NS (3600 * NS_PER_S)
/* From the end of a round to the next one, for the acks to come in. */
#define REST_NS (3 * NS_PER_S)

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

void backlog_ack(struct backlog *backlog, uint64_t counter, uint32_t number, uint32_t safe, uint32_t newest)
{
    if (counter <= backlog->since)
        return;
    /* A number whose place belongs to a newer one by now is none of those that are kept. */
    if (number != 0 && number < newest && newest - number <= AGENT_KEEP_MAX)
        set_arrived(backlog, number, true);
    if (safe == 0 || counter <= backlog->safe_counter) /* 0 only says that the oldest one is not there yet */
        return;
    safe = safe > newest ? newest : safe < backlog->base ? backlog->base : safe;
    if (safe > backlog->safe)
        backlog->patience_ns = PATIENCE_MIN_NS;
    backlog->safe = safe;
    backlog->safe_counter = counter;
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

uint32_t backlog_next(struct backlog *backlog, const struct kept *kept)
{
    bool goes_on = backlog->sent > backlog->safe;
    uint32_t number = missing_after(backlog, kept, goes_on ? backlog->sent : backlog->safe);
    if (number == 0 && backlog->sent > 0) { /* the round is over; what of it was lost is for the next one */
        backlog->sent = 0;
        backlog->next = instant_add(backlog->next, REST_NS);
        number = missing_after(backlog, kept, backlog->safe);
    }
    return number;
}

void backlog_sent(struct backlog *backlog, uint32_t number, struct instant now, int64_t pace_ns)
{
    backlog->sent = number;
    backlog->next = instant_add(now, pace_ns);
}
