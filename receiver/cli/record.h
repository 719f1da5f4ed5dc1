/* SPDX-License-Identifier: GPL-2.0-or-later */
/* record.h - the record as a command sees it: one consistent view, and the hosts that were asked for. */
#ifndef RECEIVER_CLI_RECORD_H
#define RECEIVER_CLI_RECORD_H

#include <stddef.h>

#include "receiver/cli/cli.h"
#include "receiver/record/log_reader.h"

struct record {
    struct log_reader *reader;
    struct log_host *hosts; /* those that the arguments mean, by name */
    size_t count;
    struct log_run run; /* the latest run of the receiver */
};

/* Opens DATA/receiver.db and chooses the hosts. Returns CLI_OK (release with record_close), CLI_USAGE if an argument
 * fits no host, or CLI_NO_RECORD. */
int record_open(struct record *record, const struct cli *cli, struct error *error);
/* Leaves the forgotten hosts out, but for those that the arguments name. */
void record_leave_out_forgotten(struct record *record, const struct cli *cli);
void record_close(struct record *record);

/* What the time is for the record: now, or its last mark if that lies ahead of this clock. A clock that was set back has to catch up
 * with the record, and what happens meanwhile is recorded all the same. */
int64_t record_now(const struct cli *cli);

/* The end of a period: while a receiver runs, what it has not yet marked as seen (a second or two) is left out; with
 * the receiver stopped the period stays as it is, and its end counts as unknown. */
int64_t record_period_end(const struct record *record, const struct cli *cli, int64_t to);

#endif
