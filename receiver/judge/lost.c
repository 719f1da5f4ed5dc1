/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lost.c - hosts that fell silent at once with most others (verdict.h): the network of the receiver was the likelier cause. */
#include "receiver/judge/telling.h"
#include "receiver/judge/verdict.h"

bool verdict_is_among_lost(struct instant last, int64_t interval_ns, struct instant from, struct instant to)
{
    int64_t half_ns = instant_since(to, from) / 2;
    int64_t wider_ns = interval_ns > half_ns ? interval_ns - half_ns : 0;
    return !instant_before(last, instant_add(from, -wider_ns)) && !instant_before(instant_add(to, wider_ns), last);
}

void verdict_lost(struct host *host, struct instant from, struct instant to, const struct verdict_context *c)
{
    if (!host->heard)
        return;
    struct instant last = host->expectation.last;
    if (verdict_is_among_lost(last, expectation_interval_ns(&host->expectation), from, to))
        host->lost_last = last;
    struct silence *s = host->silence ? &host->silence->facts : NULL;
    if (!s || s->lost_with_many || !verdict_is_among_lost(s->last, s->interval_ns, from, to))
        return;
    s->lost_with_many = true;
    telling_update(host, c);
}
