/* SPDX-License-Identifier: GPL-2.0-or-later */
/* peers_events.h - what befalls receivers and hosts together, what is to be said of it at once, and what must be recorded in
 * the end. */
#ifndef TESTS_SIM_PEERS_EVENTS_H
#define TESTS_SIM_PEERS_EVENTS_H

#include "tests/sim/peers_world.h"

enum peers_event_kind {
    ISOLATED_GATEWAY,
    ISOLATED_UPSTREAM,
    HALF_ISOLATED,
    PATH_LOST,
    SITE_DIES,
    SITE_AND_PEER_DIE,
    ALL_DIE,
    ALL_AND_PEER_DIE,
    ONE_DIES,
    ONE_DIES_PEER_OFF,
    EVENT_COUNT
};

struct peers_event {
    const char *name;
    enum state right;
    /* Wrong verdicts before settlement in percent, with 1, 2 and 3 receivers: what a simulation of the idealised rule had, in
     * which receivers answer at once or not at all, with 50 hosts and, where that differs, with 5. */
    double reference[WORLD_NODES_MAX], reference_few;
};

extern const struct peers_event peers_events[EVENT_COUNT];

/* Live verdicts of hosts that the event concerns. */
struct peers_tally {
    uint64_t verdicts, wrong, late; /* late: given later than when the second expectation lapsed */
    uint64_t runs;
    uint64_t datagrams, most_in_second; /* between receivers, of one of them */
};

struct peers_run {
    enum peers_event_kind kind;
    struct world_options options;
    void (*prepare)(struct world *world); /* the network between receivers, at the start; NULL: as it is */
    void (*trouble)(struct world *world); /* once the event goes on; NULL: none */
    bool restarts;                        /* the first receiver does, so a moment is unknown to it */
    bool unsure;                          /* it may call down who is not */
    bool brief;                           /* ends with the last verdict */
};

void peers_run(const struct peers_run *run, struct peers_tally *tally);

#endif
