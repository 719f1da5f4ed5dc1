/* SPDX-License-Identifier: GPL-2.0-or-later */
/* period.h - the period that a question is about, and times as people type them, in the time zone of TZ. */
#ifndef RECEIVER_CLI_PERIOD_H
#define RECEIVER_CLI_PERIOD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

/* [from, to), Unix seconds. */
struct period {
    int64_t from, to;
};

/* What was typed; NULL where nothing was. */
struct period_options {
    const char *days, *month, *from, *to;
};

/* The rows of an option_spec list that fill `o`, a struct period_options. */
#define PERIOD_SPECS(o)                                                                         \
    {"days", 0, &(o).days, NULL}, {"month", 0, &(o).month, NULL}, {"from", 0, &(o).from, NULL}, \
    {                                                                                           \
        "to", 0, &(o).to, NULL                                                                  \
    }

#define PERIOD_USAGE "[--days N | --month YYYY-MM | --from T [--to T]]"
#define PERIOD_HELP                                                                                                 \
    "The period is the last 90 days unless given: --days N, a calendar month --month YYYY-MM, or --from T --to T\n" \
    "where T is Unix seconds, YYYY-MM-DD[ HH:MM[:SS]] or ISO 8601 with a zone. Times are in the zone of TZ.\n"

/* Unix seconds, YYYY-MM-DD[ HH:MM[:SS]] or with T between, with or without Z or +HH:MM. A day without a time of day is its first
 * second. A local time that the clocks skip or show twice is refused: nobody can know what was meant. Returns 0, or -1
 * with `error` set. */
int period_parse_time(int64_t *out, const char *text, struct error *error);

/* First second of the month "YYYY-MM" and of the one after it. Returns 0, or -1 with `error` set. */
int period_parse_month(struct period *out, const char *text, struct error *error);

/* The period that was asked for. It never reaches beyond `now`: what is to come is no part of any figure. Returns 0,
 * or -1 with `error` set (two kinds at once, ends before it begins). */
int period_parse(struct period *out, const struct period_options *options, int64_t now, struct error *error);

#endif
