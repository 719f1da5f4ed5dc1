/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fleet_host.h - one simulated host of a fleet: the agent's own core, keys, counters that move by known amounts, and a memory of
 * what each receiver has said about its beats. */
#ifndef TESTS_BENCH_FLEET_HOST_H
#define TESTS_BENCH_FLEET_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "agent/agent.h"
#include "common/key.h"
#include "common/message.h"
#include "common/time.h"

#define FLEET_RECEIVERS_MAX 2
#define FLEET_NUMBERS_MAX 8192 /* beats of a host that are remembered, by number */
#define FLEET_PERIODS_MAX 32
#define FLEET_PERIOD_S 300
#define FLEET_RING 64 /* transmissions to a receiver that are remembered */

/* Two clocks, in nanoseconds: the agents live on the first; the other one is what receivers record under. */
struct fleet_clocks {
    int64_t boot_minus_mono_ns, wall_minus_mono_ns;
    int64_t
        guard_s; /* so long before and after the end of a period no counter moves: each amount belongs to one period */
};

struct fleet_sent {
    uint64_t session, counter;
    uint32_t number, oldest_kept;
    int64_t at_ns;
};

/* What one receiver has said to this host. */
struct fleet_told {
    struct fleet_sent sent[FLEET_RING];     /* [counter % FLEET_RING] */
    uint64_t acked[FLEET_NUMBERS_MAX / 64]; /* by number */
    uint64_t safe[FLEET_NUMBERS_MAX / 64];  /* by number */
};

struct fleet_host {
    char name[24];
    struct key agent_key, ack_key;
    struct agent_core *core;
    uint64_t agent_start;
    uint32_t index, number;          /* of the current beat */
    bool cut;                        /* no datagram of it arrives, nor any for it */
    double counter;                  /* bytes received since boot */
    int64_t counted_to;              /* second of the wall clock */
    int64_t first_period;            /* start of the period with the first beat */
    double moved[FLEET_PERIODS_MAX]; /* what the counter moved by in each period */
    struct fleet_told told[FLEET_RECEIVERS_MAX];
};

/* 0, or -1: out of memory. */
int fleet_host_init(struct fleet_host *host, const struct key *site, uint32_t index,
                    const struct agent_options *options);

/* What the beat due at `due` tells. */
void fleet_host_sample(struct fleet_host *host, const struct fleet_clocks *clocks, struct instant due,
                       struct agent_sample *sample);

void fleet_host_sent(struct fleet_host *host, const struct agent_message *message, int64_t now_ns);

/* Takes note of an ack. Returns how long it was under way in nanoseconds, -1 if that is not known. */
int64_t fleet_host_acked(struct fleet_host *host, size_t receiver, const struct ack *ack, int64_t now_ns);

/* A line: name, agent start, number, how many were acked, start of the first period, what moved in each, ranges of safe numbers. */
void fleet_host_tell(const struct fleet_host *host, size_t receiver, FILE *out);

#endif
