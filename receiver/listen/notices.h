/* SPDX-License-Identifier: GPL-2.0-or-later */
/* notices.h - what the operator is told of the record, a line each: a host changes its state; the receiver itself could not observe;
 * another receiver is lost or found; the wall clock was set; there is no room for another host. */
#ifndef RECEIVER_LISTEN_NOTICES_H
#define RECEIVER_LISTEN_NOTICES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/log.h"
#include "receiver/judge/receiver.h"

/* What was told already. Zero-initialise. */
struct notices {
    size_t lines;            /* of the core's present output */
    bool absent;             /* an absence goes on */
    bool lost[PEERS_MAX];    /* ... that peer is not heard any more */
    uint64_t met[PEERS_MAX]; /* its session, by which another peer in its place is noticed; 0: it was never heard */
    uint64_t no_room;        /* hosts that were turned away */
    struct instant no_room_at;
    uint32_t hosts; /* known when there was no room for one more */
    struct complaint room_trouble;
};

/* Tells what is new. */
void notices_tell(struct notices *notices, const struct receiver *receiver, struct instant now);

/* The wall clock says `wall` where it should have said `label`. */
void notices_tell_wall(enum labels_change change, struct wall label, struct wall wall);

#endif
