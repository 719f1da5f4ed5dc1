/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_rebuild.h - files of a stopped record, made anew. */
#ifndef RECEIVER_CLI_CMD_REBUILD_H
#define RECEIVER_CLI_CMD_REBUILD_H

#include <jansson.h>

#include "receiver/cli/record.h"

/* Makes state.rrd anew for the hosts of `record`, and adds their names to `rebuilt`. The lock is held. Returns 0 or -1. */
int rebuild_record(const struct record *record, const struct cli *cli, json_t *rebuilt, struct error *error);

#endif
