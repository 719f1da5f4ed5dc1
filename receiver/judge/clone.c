/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clone.c - see clone.h. */
#include "receiver/judge/clone.h"

#include <stdlib.h>
#include <string.h>

/* A boot this much older than the last beat is not one that came after it, whatever the network delayed. */
#define CLONE_OLDER_NS (2 * NS_PER_S)

bool clone_is_displaced(const struct host *host, const struct fact_beat *beat)
{
    return host->displaced && !beat->same_run &&
           memcmp(beat->boot_id, host->displaced->boot_id, sizeof beat->boot_id) == 0 &&
           !instant_before(host->displaced->deadline[1], beat->at);
}

bool clone_is_other(const struct host *host, const struct fact_beat *beat, int64_t waited_ns)
{
    if (!host->heard || beat->same_run || memcmp(beat->boot_id, host->boot_id, sizeof host->boot_id) == 0 ||
        clone_is_displaced(host, beat))
        return false;
    struct instant boot_at = instant_add(beat->at, -(int64_t)(beat->uptime_ms * (uint64_t)NS_PER_MS));
    if (!instant_before(boot_at, instant_add(host->expectation.last, -CLONE_OLDER_NS - waited_ns)))
        return false; /* a boot like any other */
    const struct silence *s = host_open_silence(host);
    bool gone = (s && s->judged) || instant_before(host->deadline[1], beat->at);
    return !gone; /* else it takes over */
}

static void drop_displaced(struct host *host)
{
    free(host->displaced);
    host->displaced = NULL;
}

void clone_expire(struct host *host, struct instant at)
{
    if (host->displaced && instant_before(host->displaced->deadline[1], at))
        drop_displaced(host);
}

bool clone_displace(struct host *host, const struct fact_beat *beat)
{
    drop_displaced(host);
    if (instant_before(host->deadline[1], beat->at))
        return true;
    struct displaced *d = host->displaced = calloc(1, sizeof *host->displaced);
    if (!d)
        return false;
    memcpy(d->boot_id, host->boot_id, sizeof d->boot_id);
    d->agent_start = host->agent_start;
    d->uptime_ms = host->uptime_ms;
    d->run_ms = host->run_ms;
    d->numbers = host->numbers;
    d->expectation = host->expectation;
    memcpy(d->deadline, host->deadline, sizeof d->deadline);
    return true;
}

void clone_reinstate(struct host *host)
{
    struct displaced *d = host->displaced;
    if (host->silence && host->silence->facts.last.ns == d->expectation.last.ns) {
        struct silence *s = &host->silence->facts;
        s->ended = s->new_boot = s->new_start = false;
        if (s->goodbye_reported)
            s->goodbye = GOODBYE_NONE;
        s->goodbye_reported = false;
    } else {
        host_end_silence(host);
    }
    memcpy(host->boot_id, d->boot_id, sizeof host->boot_id);
    host->agent_start = d->agent_start;
    host->uptime_ms = d->uptime_ms;
    host->run_ms = d->run_ms;
    host->numbers = d->numbers;
    host->expectation = d->expectation;
    memcpy(host->deadline, d->deadline, sizeof host->deadline);
    drop_displaced(host);
}
