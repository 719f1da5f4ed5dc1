/* SPDX-License-Identifier: GPL-2.0-or-later */
/* forget.c - see forget.h. A forgotten host is one that was never heard, but for its log: so its next beat is a first one. */
#include "receiver/judge/forget.h"

#include <stdlib.h>

#include "receiver/judge/averaging.h"
#include "receiver/judge/telling.h"

void forget_host(struct host *host, struct instant at, enum cause cause, const struct verdict_context *c)
{
    if (host->forgotten)
        return;
    if (host->heard)
        at = instant_later(at, host->expectation.last);
    host_end_silence(host);
    free(host->displaced);
    host->displaced = NULL;
    averaging_give_up(host, c);
    telling_forgotten(host, at, cause, c);
    expectation_init(&host->expectation);
    host->expectation.last = at; /* time does not go back: a beat that was under way counts from here */
    host->deadline[0] = host->deadline[1] = INSTANT_NEVER;
    host->lost_last.ns = INT64_MIN;
    host->moves = 0;
    host->restarted = host->waiting = host->heard = false;
    host->forgotten = true;
}

void forget_no_more(struct host *host)
{
    if (!host->forgotten)
        return;
    expectation_init(&host->expectation);
    host->forgotten = false;
}
