/* SPDX-License-Identifier: GPL-2.0-or-later */
/* daemon.h - the receiver as a process: clock, sockets, loop, signals around the core. */
#ifndef RECEIVER_LISTEN_DAEMON_H
#define RECEIVER_LISTEN_DAEMON_H

#include "common/error.h"
#include "receiver/receiver_settings.h"

struct daemon;

/* Opens everything: sockets, lock, database; drops root; replays the journal. `settings` are taken over in any case; `config` is the file for
 * SIGHUP (borrowed for ever). NULL with `error` set. */
struct daemon *daemon_create(struct receiver_settings *settings, const char *config, struct error *error);
/* Serves until SIGTERM or SIGINT. Returns the exit status. */
int daemon_run(struct daemon *daemon);
/* Stores what is left, notes the clean stop in the record, and closes everything. */
void daemon_destroy(struct daemon *daemon);

/* Reads the site keys that the settings name into `keys`, and the rest of what intake needs. */
int daemon_load_keys(struct intake_keys *keys, const struct receiver_settings *settings, struct error *error);

#endif
