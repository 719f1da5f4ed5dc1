/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_maintenance.h - what the commands that change the record have in common. */
#ifndef RECEIVER_CLI_CMD_MAINTENANCE_H
#define RECEIVER_CLI_CMD_MAINTENANCE_H

#include <stdbool.h>

#include "common/error.h"
#include "receiver/cli/cli.h"

/* Checks the names, with the receiver or in the record. Sets `*stopped`; then this process has become the owner of the
 * record. Returns an exit code. */
int change_check_hosts(const struct cli *cli, bool *stopped, struct error *error);

/* One line of text has no control characters; the reason is shown to people later. Returns 0 or -1. */
int maintenance_check_reason(const char *reason, struct error *error);

#endif
