/* SPDX-License-Identifier: GPL-2.0-or-later */
/* records.h - the records that a question is about, as one: each --data is a record, and a single one is the merge of
 * one. All are only read. */
#ifndef RECEIVER_CLI_RECORDS_H
#define RECEIVER_CLI_RECORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "receiver/cli/cli.h"
#include "receiver/cli/period.h"
#include "receiver/cli/record.h"
#include "receiver/report/merge.h"
#include "receiver/report/uptime.h"

/* A host, known by its name, in those records that have it. */
struct records_host {
    const char *name;
    const struct log_host *in[CLI_DATA_MAX]; /* by record; NULL: it was never heard there */
};

struct records {
    struct record items[CLI_DATA_MAX]; /* in the order of --data */
    size_t count;
    struct records_host *hosts; /* those that the arguments mean, by name */
    size_t host_count;
    bool files_only; /* at least one of them has RRD files only: the answer comes from rows */
};

/* One host, merged from the logs. Zero-initialise. */
struct records_view {
    struct timeline timelines[CLI_DATA_MAX];
    struct merge_part parts[CLI_DATA_MAX];
    struct merged merged;
};

enum records_take {
    RECORDS_FILES_ONLY = 1, /* also a record of RRD files without a database; else it is refused */
    RECORDS_FORGOTTEN =
        2 /* also hosts that are forgotten in all records that have them; else only those that are named */
};

/* Opens all records and chooses the hosts; `take` is a sum of enum records_take. Returns CLI_OK (release with records_close),
 * CLI_USAGE (an argument fits no host in any record), or CLI_NO_RECORD. */
int records_open(struct records *records, const struct cli *cli, int take, struct error *error);
void records_close(struct records *records);

/* Reads the logs of a host and merges them. Returns 0 (release with records_view_free, before the records), or -1 with
 * `error` set. */
int records_view(const struct records *records, const struct records_host *host, struct records_view *view,
                 struct error *error);
void records_view_free(struct records_view *view);

/* The end of a period: while receivers run, what they have not yet marked as seen (a second or two) is left out; if the
 * record that goes furthest is of a stopped one, or a copy, the period stays as it is, and its end counts as unknown. */
int64_t records_period_end(const struct records *records, int64_t to);

#define RECORDS_ROW_QUARTER_S 900
#define RECORDS_ROW_DAY_S 86400

/* How the figures of a period are got: from the logs (`row_s` 0), or from rows of so many seconds. */
struct records_source {
    int64_t row_s;
};
/* Chooses it. With rows the period is moved to the rows in which its edges lie. */
int records_choose_source(const struct records *records, struct period *period, struct records_source *source,
                          struct error *error);
/* The seconds of a host in the period. From rows, `unreachable` is 0 and means nothing. Returns 0, or -1 with `error` set. */
int records_uptime(const struct records *records, const struct records_host *host, const struct records_source *source,
                   const struct period *period, struct uptime *out, struct error *error);

#endif
