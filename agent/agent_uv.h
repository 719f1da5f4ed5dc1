/* SPDX-License-Identifier: GPL-2.0-or-later */
/* agent_uv.h - the agent as a daemon: the core of agent.h on a libuv loop, with sockets, timers, signals and keys. */
#ifndef AGENT_AGENT_UV_H
#define AGENT_AGENT_UV_H

#include "agent/agent_settings.h"
#include "common/error.h"
#include "common/key.h"

/* Runs until SIGTERM or SIGINT; SIGHUP loads `config_path` again. Takes `settings` over, in which only the receivers of this host
 * are left, and borrows `key`, of which it wipes the secret once it has made its own keys. Returns 0 after a clean
 * stop, or -1 with `error` set if it could not start. */
int agent_uv_run(const char *config_path, struct agent_settings *settings, struct host_key *key, struct error *error);

#endif
