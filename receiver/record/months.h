/* SPDX-License-Identifier: GPL-2.0-or-later */
/* months.h - the table `months`: how many seconds of each month that has ended a host was up, down, admin and unknown.
 *
 * All of it follows from the log, so a row that is wrong or missing is computed again. Months are those of the time zone
 * of this process; a row names it, and another zone makes all rows anew. */
#ifndef RECEIVER_RECORD_MONTHS_H
#define RECEIVER_RECORD_MONTHS_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "receiver/record/journal.h"
#include "receiver/record/log_reader.h"

/* The rows of a host that are to be written: of the months that ended by `to`, where no row is stored yet or the log has
 * changed from second `changed_from` on (INT64_MAX: nowhere). There are none for months before the log begins. `*months`
 * is to be freed by the caller, also after -1 (`error` is set). */
int months_compute(struct log_reader *reader, uint32_t host, const struct timeline *log, int64_t changed_from,
                   int64_t to, const char *zone, struct journal_month **months, size_t *count, struct error *error);

#endif
