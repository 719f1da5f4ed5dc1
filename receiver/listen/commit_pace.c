/* SPDX-License-Identifier: GPL-2.0-or-later */
/* commit_pace.c - see commit_pace.h. */
#include "receiver/listen/commit_pace.h"

#define STARTING_NS (2 * NS_PER_S)
#define SMALL_FLEET_HOSTS 2000 /* a larger one commits once a second */

int64_t commit_pace_ns(const struct receiver *receiver)
{
    const struct host_table *table = receiver_hosts(receiver);
    int64_t pace_ns = COMMIT_MAX_NS;
    if (table->count > SMALL_FLEET_HOSTS)
        return pace_ns;
    for (uint32_t id = 1; id <= table->count; id++) {
        int64_t host_ns = table->hosts[id] ? expectation_interval_ns(&table->hosts[id]->expectation) / 8 : 0;
        if (host_ns > 0 && host_ns < pace_ns)
            pace_ns = host_ns;
    }
    return pace_ns < COMMIT_MIN_NS ? COMMIT_MIN_NS : pace_ns;
}

bool commit_pace_is_starting(const struct receiver *receiver, struct instant now)
{
    return instant_since(now, receiver_started(receiver)) < STARTING_NS;
}
