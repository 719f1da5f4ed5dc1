/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status_merge.h - what several receivers tell of the hosts now, as one answer. No input or output. */
#ifndef RECEIVER_CLI_STATUS_MERGE_H
#define RECEIVER_CLI_STATUS_MERGE_H

#include <jansson.h>
#include <stddef.h>

/* Merges the answers of `count` receivers or records (status_source.h), whose data directories are `names`. Of each host the
 * best state counts: up, late, admin, down, unknown. While any receiver runs, what records of stopped ones and copies say is
 * over: unknown. If none runs, those that end before the latest that knows the host are. Returns {"updated", "hosts",
 * "receivers"}, which belongs to the caller; NULL out of memory. */
json_t *status_merge(const char *const *names, json_t *const *statuses, size_t count);

#endif
