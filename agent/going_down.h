/* SPDX-License-Identifier: GPL-2.0-or-later */
/* going_down.h - whether the agent stops because the whole host goes down.
 *
 * The init system is asked: only it knows. With systemd that is the state "stopping"; with others the run level, 0
 * or 6, in the utmp file. What cannot be told counts as an ordinary stop, which excuses less. */
#ifndef AGENT_GOING_DOWN_H
#define AGENT_GOING_DOWN_H

#include "common/message.h"

/* Where to look: GOING_DOWN_SYSTEMD and GOING_DOWN_UTMP outside of tests. Takes at most a second. */
enum bye_reason going_down_reason(const char *systemd_dir, const char *utmp_path);

#define GOING_DOWN_SYSTEMD "/run/systemd/system" /* exists if systemd runs the host (sd_booted(3)) */
#define GOING_DOWN_UTMP "/run/utmp"

#endif
