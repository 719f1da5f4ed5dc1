/* SPDX-License-Identifier: GPL-2.0-or-later */
/* news.h - what people entered here is told to the peers, and what they entered there is taken.
 *
 * Each receiver tells what was entered at itself, and nothing that it has from others; so nothing goes in circles, and all must be
 * peers of each other. It is a state that is told, not a change: anything may be lost, repeated or come late. An entry is told until
 * the peer confirms it; once more when it has changed, and when either receiver has been started anew. Times travel as differences to
 * now, on the clocks on which verdicts are made.
 *
 * A window that is taken is one of ours from then on, with an origin. It begins now at the earliest, and what is over here stays over:
 * who ends it here ends it for this receiver. */
#ifndef RECEIVER_LISTEN_NEWS_H
#define RECEIVER_LISTEN_NEWS_H

#include <uv.h>

#include "receiver/judge/receiver.h"
#include "receiver/listen/entered.h"

struct news;

/* How many windows of one peer are taken that are not over, and how many words on outages. */
enum { NEWS_TAKEN_MAX = 1000 };

/* All but `data`, the data directory, are borrowed. NULL: out of memory. */
struct news *news_create(uv_loop_t *loop, struct receiver *receiver, struct entered *entered, const char *data);
/* Gives up a look-up that is under way; run the loop once more, then destroy. */
void news_close(struct news *news);
void news_destroy(struct news *news);

/* Takes the items behind the head of a datagram that was proven to come from that peer. */
void news_hear(struct news *news, struct instant now, unsigned place, const uint8_t *items, size_t len);
/* Adds what is to be told to a payload for that peer, as far as there is room. Returns its new length. */
size_t news_append(struct news *news, struct instant now, unsigned place, uint8_t payload[PEER_PAYLOAD_MAX],
                   size_t len);
/* Once each turn, before peers are told anything. */
void news_turn(struct news *news, struct instant now);

#endif
