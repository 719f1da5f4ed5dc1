/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status_json.h - how hosts are now, as the JSON that `twobeat status --json` prints. Reads the core, changes nothing. */
#ifndef RECEIVER_LISTEN_STATUS_JSON_H
#define RECEIVER_LISTEN_STATUS_JSON_H

#include <jansson.h>

#include "common/time.h"
#include "receiver/judge/receiver.h"
#include "receiver/listen/intake.h"

/* One host; NULL out of memory. */
json_t *status_json_host(const struct host *host, const struct labels *labels, struct instant now);
/* That the receiver cannot observe: {"cause", "since"}, or null while it can. */
/* The other receivers: [{name, heard lately, last_heard}]. */
json_t *status_json_peers(const struct receiver *receiver, struct instant now);
json_t *status_json_absence(const struct receiver *receiver);

/* Every counter of the receiver, by name. */
json_t *status_json_statistics(const struct receiver *receiver, const struct intake *intake, uint64_t dropped);

#endif
