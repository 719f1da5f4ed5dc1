/* SPDX-License-Identifier: GPL-2.0-or-later */
/* contacts.h - the receivers that expect beats of this host, as the next run will find them.
 *
 * STATE_DIR/receivers holds a line for each: the agent start under which it heard the host, in hexadecimal, and its address. It is
 * written when the agent starts, and when a receiver comes or has been told that the host moved away. */
#ifndef AGENT_CONTACTS_H
#define AGENT_CONTACTS_H

#include <stddef.h>
#include <stdint.h>

#include "agent/agent_settings.h"
#include "common/error.h"

#define CONTACTS_MAX 32

struct contact {
    struct receiver_address address;
    uint64_t agent_start;
};

/* Returns how many were found; what is not understood is left out. */
size_t contacts_load(struct contact contacts[CONTACTS_MAX], const char *state_dir);
/* Returns 0 or -1 with `error` set. */
int contacts_save(const char *state_dir, const struct contact *contacts, size_t count, struct error *error);

#endif
