/* SPDX-License-Identifier: GPL-2.0-or-later */
/* retry.c - see retry.h. */
#include "agent/retry.h"

#define UNIT_MIN_NS (200 * NS_PER_MS)
#define UNIT_MAX_NS NS_PER_S

/* Half a minute of trying often is enough: with an interval of an hour, T/8 would be a thousand datagrams a beat. */
#define BURST_MAX_NS (30 * NS_PER_S)

#define BYE_LIMIT_NS (2 * NS_PER_S)
/* A host that moves away goes on, and can say so until it is heard. */
#define BYE_MOVED_LIMIT_NS (24 * 3600 * NS_PER_S)

int64_t retry_unit_ns(int64_t interval_ns)
{
    int64_t unit = interval_ns / 60;
    return unit < UNIT_MIN_NS ? UNIT_MIN_NS : unit > UNIT_MAX_NS ? UNIT_MAX_NS : unit;
}

int64_t retry_next_age_ns(int64_t interval_ns, bool burst, int64_t age_ns)
{
    int64_t unit = retry_unit_ns(interval_ns);
    int64_t next = INT64_MAX;
    for (int64_t factor = 31; factor >= 1; factor /= 2) /* 31, 15, 7, 3, 1 */
        if (factor * unit > age_ns && factor * unit <= interval_ns * 55 / 100)
            next = factor * unit;
    if (burst) {
        int64_t in_burst = (age_ns / (unit / 2) + 1) * (unit / 2);
        if (in_burst <= interval_ns / 8 && in_burst <= BURST_MAX_NS && in_burst < next)
            next = in_burst;
    }
    return next;
}

int64_t retry_bye_limit_ns(enum bye_reason reason)
{
    return reason == BYE_MOVED ? BYE_MOVED_LIMIT_NS : BYE_LIMIT_NS;
}

struct instant retry_next_bye(int64_t interval_ns, enum bye_reason reason, struct instant stop, struct instant now)
{
    struct instant next = instant_add(now, retry_unit_ns(interval_ns));
    if (instant_since(next, stop) >= BYE_LIMIT_NS) /* the way may be cut: no more often than beats */
        next = instant_later(next, instant_add(now, interval_ns));
    return instant_since(next, stop) < retry_bye_limit_ns(reason) ? next : INSTANT_NEVER;
}
