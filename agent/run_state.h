/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run_state.h - how the run of the agent before this one ended.
 *
 * STATE_DIR/run holds one word: "running" from the start on, "stopped" or "shutdown" after a clean end. A run that
 * finds "running" follows one that died. It is written twice a run, never in between. */
#ifndef AGENT_RUN_STATE_H
#define AGENT_RUN_STATE_H

#include "common/error.h"
#include "common/message.h"

/* What the file says about the run before; PREVIOUS_UNKNOWN if there is none or it cannot be read. */
enum previous_end run_state_load(const char *state_dir);

/* Durably notes that a run is under way. Returns 0 or -1 with `error` set. */
int run_state_save_running(const char *state_dir, struct error *error);
/* The same for a clean end. */
int run_state_save_end(const char *state_dir, enum bye_reason reason, struct error *error);

#endif
