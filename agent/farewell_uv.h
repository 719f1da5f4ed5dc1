/* SPDX-License-Identifier: GPL-2.0-or-later */
/* farewell_uv.h - takes leave of receivers that this host no longer speaks to.
 *
 * Without that such a receiver would take the silence for an outage. Each farewell is a core of its own, with its own session and
 * socket, that says nothing but goodbye until it is acked, for at most a day; who is still to be told is noted in the state directory
 * (contacts.h), so a restart forgets nobody. The beats to all others know nothing of it. */
#ifndef AGENT_FAREWELL_UV_H
#define AGENT_FAREWELL_UV_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/agent_settings.h"
#include "agent/contacts.h"
#include "agent/voice.h"
#include "common/error.h"
#include "common/time.h"

struct uv_loop_s;

struct farewells {
    struct uv_loop_s *loop;
    const struct voice *voice; /* borrowed */
    struct farewell *first;
    const struct agent_settings *settings; /* borrowed: the receivers that are spoken to, and the state directory ... */
    uint64_t agent_start;                  /* ... in this run */
};

/* The settings are in use from now on. Of the `count` receivers in `before`, those that are not among theirs are told so; and
 * whoever is among them is told nothing more. Returns 0, or -1 with `error` set if that could not be noted. */
int farewells_begin(struct farewells *farewells, struct instant now, const struct contact *before, size_t count,
                    struct error *error);

/* Does what is due. */
void farewells_tick(struct farewells *farewells, struct instant now);
/* When something is due next. */
struct instant farewells_due(const struct farewells *farewells);

/* Ends all of them, as link_close does. */
bool farewells_close(struct farewells *farewells);

#endif
