/* SPDX-License-Identifier: GPL-2.0-or-later */
/* maintenance_record.h - enters maintenance into the record itself, while no receiver runs.
 *
 * The receiver reads the table when it starts, and so sees these entries as if it had been told. */
#ifndef RECEIVER_CLI_MAINTENANCE_RECORD_H
#define RECEIVER_CLI_MAINTENANCE_RECORD_H

#include <jansson.h>
#include <stdint.h>

#include "common/error.h"
#include "receiver/cli/cli.h"

#define MAINTENANCE_AHEAD_MAX_S (INT64_C(3660) * 86400) /* ten years: what the receiver takes */

/* Enters one line for each argument, from `from` (now or later) until `until` (Unix seconds; 0: until somebody ends it).
 * Adds the ids to `ids`. Returns 0 or -1 with `error` set. */
int maintenance_record_add(const struct cli *cli, int64_t from, int64_t until, const char *reason, json_t *ids,
                           struct error *error);

/* Ends, now, every running line whose pattern fits one of the arguments. Adds the ids to `ended`. Returns 0 or -1. */
int maintenance_record_end(const struct cli *cli, json_t *ended, struct error *error);

/* Ends one line: now if it runs, where it begins if that is to come. Returns an exit code: CLI_USAGE if it is unknown or
 * over. */
int maintenance_record_cancel(const struct cli *cli, int64_t id, struct error *error);

#endif
