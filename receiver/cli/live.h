/* SPDX-License-Identifier: GPL-2.0-or-later */
/* live.h - asks the running receiver: one JSON object a line, each way, over DATA/receiver.sock. */
#ifndef RECEIVER_CLI_LIVE_H
#define RECEIVER_CLI_LIVE_H

#include <jansson.h>

#include "common/error.h"
#include "receiver/cli/cli.h"

#define LIVE_TIMEOUT_S 30

enum live_result {
    LIVE_OK,
    LIVE_STOPPED, /* no receiver runs; nothing is wrong with that */
    LIVE_FAILED   /* `error` is set: no right to ask, no answer, or the receiver said no */
};

/* Sends {"op": op, "hosts": the arguments of the command, and what `more` holds (released; may be NULL)}, and waits
 * up to `timeout_s` seconds (0: for ever) for the answer. On LIVE_OK `*answer` belongs to the caller. */
enum live_result live_ask(const struct cli *cli, const char *op, json_t *more, int timeout_s, json_t **answer,
                          struct error *error);

/* Asks which of the arguments the receiver knows. Sets `*stopped`, or returns CLI_USAGE for one that fits no host, or
 * CLI_NO_RECORD; else CLI_OK. */
int live_check_hosts(const struct cli *cli, bool *stopped, struct error *error);

/* The name in the host object at `index` of a JSON array, for cli_unmatched. */
const char *live_host_name(const void *hosts, size_t index);

#endif
