/* SPDX-License-Identifier: GPL-2.0-or-later */
/* link_uv.h - the way to one receiver: its name, its addresses, and a socket connected to one of them.
 *
 * A connected socket takes datagrams from that one address only, and notices when nobody listens there. It is made
 * anew when the name gets another address and when nothing comes back, since the route or our own address may have
 * changed. A name that cannot be looked up, or a network that is not there, is waited for: neither ends the agent. */
#ifndef AGENT_LINK_UV_H
#define AGENT_LINK_UV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/agent_settings.h"
#include "common/time.h"

struct uv_loop_s;
struct link;

struct link_handler {
    /* A datagram came from the receiver's address; nothing about it is checked yet. */
    void (*received)(void *context, struct link *link, const uint8_t *bytes, size_t len);
    /* The receiver is reached at another address from now on, or for the first time. */
    void (*changed)(void *context, struct link *link);
    void *context;
};

/* NULL: out of memory. Nothing is looked up before the first link_tick. */
struct link *link_create(struct uv_loop_s *loop, const struct receiver_address *address,
                         const struct link_handler *handler);
/* No handler is called any more; the memory goes once the loop has run. False: a look-up is under way and cannot be
 * called off, so that running the loop to its end may take as long as a name server that does not answer. */
bool link_close(struct link *link);

/* The name as in the configuration. */
const struct receiver_address *link_address(const struct link *link);

/* Does what is due, that is, begins to look the name up. */
void link_tick(struct link *link, struct instant now);
/* When something is due next. */
struct instant link_due(const struct link *link);

void link_send(struct link *link, struct instant now, const uint8_t *bytes, size_t len);
/* Hands over what has already arrived, as the loop will do by itself. */
void link_receive(struct link *link);

/* The receiver has been silent for that many beats: goes on to its next address, looks its name up, makes a new
 * socket. */
void link_unanswered(struct link *link, struct instant now, uint32_t beats);
/* A valid answer came. */
void link_answered(struct link *link);

#endif
