/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status_source.h - how the hosts are now: from the running receiver, or, if it is stopped, as it last recorded
 * them. */
#ifndef RECEIVER_CLI_STATUS_SOURCE_H
#define RECEIVER_CLI_STATUS_SOURCE_H

#include "receiver/cli/cli.h"

/* Fetches {"updated", "hosts": [...], "receiver": {...}} for the hosts that the arguments mean; `*status` belongs to
 * the caller. If the receiver is stopped, "receiver" has "stopped", the time of its last mark. Of several records the merge
 * (status_merge.h), with "receivers" instead. Returns CLI_OK, CLI_USAGE (an argument fits no host) or CLI_NO_RECORD. */
int status_fetch(const struct cli *cli, json_t **status, struct error *error);

/* Whether no receiver runs; `*since` becomes the last mark of any, 0 if there never was one. */
bool status_is_stopped(const json_t *status, int64_t *since);

/* A number, or `otherwise` if it is null or missing. */
double status_number(const json_t *object, const char *member, double otherwise);
/* A text, or "". */
const char *status_text(const json_t *object, const char *member);

#endif
