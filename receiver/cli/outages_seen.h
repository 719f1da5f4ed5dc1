/* SPDX-License-Identifier: GPL-2.0-or-later */
/* outages_seen.h - what stands beside an outage: what somebody said about it, and what each of several records says of the
 * same time. */
#ifndef RECEIVER_CLI_OUTAGES_SEEN_H
#define RECEIVER_CLI_OUTAGES_SEEN_H

#include <jansson.h>

#include "receiver/cli/records.h"
#include "receiver/report/outages.h"

/* "relabelled admin on 2026-11-22 10:00:00 CET: wrong cable (was down)"; "" if there is nothing to note. To be freed; NULL out
 * of memory. */
char *outages_note(const struct outage *outage);

/* For each record, in their order, its spans that have a second in the outage: [{"receiver", "state", "from", "to", "cause",
 * "id"}]. A record that does not know of that time has one that is unknown, without a beginning and an end. Belongs to the
 * caller. */
json_t *outages_seen(const struct records *records, const struct records_host *host, const struct records_view *view,
                     const struct outage *outage);

/* Both as one text; either may be NULL. To be freed; NULL out of memory. */
char *outages_note_seen(const char *note, const json_t *seen);

#endif
