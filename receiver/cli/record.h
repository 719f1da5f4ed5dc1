/* SPDX-License-Identifier: GPL-2.0-or-later */
/* record.h - the record as a command sees it: one consistent view, and the hosts that were asked for. */
#ifndef RECEIVER_CLI_RECORD_H
#define RECEIVER_CLI_RECORD_H

#include <stddef.h>

#include "receiver/cli/cli.h"
#include "receiver/record/log_reader.h"

struct record {
    const char *data;          /* borrowed */
    struct log_reader *reader; /* NULL: there are RRD files only */
    struct log_host *hosts;    /* those that the arguments mean, by name */
    size_t count;
    struct log_run run; /* the latest run of the receiver */
};

/* Opens the record in `data` with all its hosts. In a folder that has RRD files but no receiver.db these are the hosts that
 * have a state.rrd, with their names only. Returns CLI_OK (release with record_close) or CLI_NO_RECORD. */
int record_open_all(struct record *record, const char *data, struct error *error);
/* Says that there is no database; returns CLI_NO_RECORD. */
int record_fail_files_only(const char *data, struct error *error);
/* Opens DATA/receiver.db and chooses the hosts. Returns CLI_OK (release with record_close), CLI_USAGE if an argument
 * fits no host, or CLI_NO_RECORD. */
int record_open(struct record *record, const struct cli *cli, struct error *error);
void record_close(struct record *record);

/* What the time is for the records: now, or the last mark of one if that lies ahead of this clock. A clock that was set back has to catch up
 * with the record, and what happens meanwhile is recorded all the same. */
int64_t record_now(const struct cli *cli);

#endif
