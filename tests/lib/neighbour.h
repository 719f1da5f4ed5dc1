/* SPDX-License-Identifier: GPL-2.0-or-later */
/* neighbour.h - another receiver as the core sees it: it proves its session, and then says whatever a test wants said.
 *
 * Payloads are handed over in memory. It hears no hosts of its own; for two real cores that talk to each other a test needs none of this. */
#ifndef TESTS_LIB_NEIGHBOUR_H
#define TESTS_LIB_NEIGHBOUR_H

#include "receiver/judge/receiver.h"

struct neighbour {
    struct peers peers; /* of which the core under test is the only one */
    uint8_t secret[PROOF_SECRET_LEN];
    uint64_t asked;       /* counter of the latest datagram with questions; 0: none */
    uint16_t asked_count; /* how many questions it had */
};

/* Release with neighbour_free. */
void neighbour_init(struct neighbour *neighbour, uint64_t session);
void neighbour_free(struct neighbour *neighbour);
/* It starts anew: another session, and it knows of none. */
void neighbour_restart(struct neighbour *neighbour, uint64_t session);
/* Takes a payload of the core. Returns whether it may be believed. */
bool neighbour_hear(struct neighbour *neighbour, struct instant now, const uint8_t *payload, size_t len);
/* Its next payload, with these items. Returns the length. */
size_t neighbour_say(struct neighbour *neighbour, struct instant now, const uint8_t *items, size_t len,
                     uint8_t payload[PEER_PAYLOAD_MAX]);
/* Both sessions prove themselves; `place` is the neighbour's at the core. */
void neighbour_meet(struct neighbour *neighbour, struct receiver *receiver, unsigned place, struct instant now);
/* Writes the item that gives all questions of the latest datagram the same answer. Returns its length, 0: nothing was asked. */
size_t neighbour_answer(const struct neighbour *neighbour, const struct peer_answer *answer,
                        uint8_t items[PEER_PAYLOAD_MAX]);

#endif
