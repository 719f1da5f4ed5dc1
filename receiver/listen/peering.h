/* SPDX-License-Identifier: GPL-2.0-or-later */
/* peering.h - how other receivers are reached: their keys, their addresses, their datagrams. What is said is the core's
 * (judge/peers.h).
 *
 * Answers go to where the question came from, like all answers; what we say of ourselves goes to the configured address. */
#ifndef RECEIVER_LISTEN_PEERING_H
#define RECEIVER_LISTEN_PEERING_H

#include <stdbool.h>
#include <uv.h>

#include "receiver/judge/receiver.h"
#include "receiver/listen/intake.h"
#include "receiver/listen/news.h"
#include "receiver/listen/udp.h"
#include "receiver/receiver_settings.h"

struct peering;

/* `receiver` is borrowed. NULL: out of memory. */
struct peering *peering_create(uv_loop_t *loop, struct receiver *receiver);
/* Gives up look-ups that are under way; run the loop once more, then destroy. */
void peering_close(struct peering *peering);
void peering_destroy(struct peering *peering);

/* `news` (borrowed) is told what peers say of what was entered there, and tells them of ours. */
void peering_set_news(struct peering *peering, struct news *news);

/* Takes the peers and keys that are set: those that stay keep their session. Returns 0, or -1 with `error`: out of memory, and some
 * may be missing. */
int peering_use(struct peering *peering, struct instant now, const struct receiver_settings *settings,
                const struct intake_keys *keys, struct error *error);

/* A datagram of type peer. Writes the answer and returns its length, 0: none, never longer than the datagram. `*opened` tells whether the
 * seal held. */
size_t peering_hear(struct peering *peering, struct instant now, const struct datagram *datagram, uint8_t *answer,
                    bool *opened);

/* Tells the others that this receiver stops. */
void peering_leave(struct peering *peering, struct instant now, struct udp_socket *const sockets[],
                   size_t socket_count);

/* Once each turn: says what is to be said, through the first socket of the right family, and looks names up. */
void peering_turn(struct peering *peering, struct instant now, struct udp_socket *const sockets[], size_t socket_count);

#endif
