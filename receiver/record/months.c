/* SPDX-License-Identifier: GPL-2.0-or-later */
/* months.c - see months.h. */
#include "receiver/record/months.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first month without a row of this zone, `first` if there is none. */
static int find_missing(struct log_reader *reader, uint32_t host, const char *zone, int first, int *missing,
                        struct error *error)
{
    char last[CALENDAR_MONTH_MAX], text[CALENDAR_MONTH_MAX];
    if (log_reader_last_month(reader, host, zone, last, error))
        return -1;
    /* Texts of this form are ordered as the months are. */
    *missing = first;
    for (calendar_month_format(text, first); last[0] && strcmp(text, last) <= 0; calendar_month_format(text, *missing))
        ++*missing;
    return 0;
}

static struct journal_month count_month(uint32_t host, const struct timeline *log, int month, const char *zone)
{
    struct timeline_seconds seconds;
    struct journal_month row = {.host = host};
    timeline_count(log, calendar_month_begin(month), calendar_month_begin(month + 1), &seconds);
    calendar_month_format(row.month, month);
    (void)snprintf(row.zone, sizeof row.zone, "%s", zone);
    row.up = seconds.state[STATE_UP];
    row.down = seconds.state[STATE_DOWN];
    row.unreachable = seconds.unreachable;
    row.admin = seconds.state[STATE_ADMIN];
    row.unknown = seconds.state[STATE_UNKNOWN];
    return row;
}

int months_compute(struct log_reader *reader, uint32_t host, const struct timeline *log, int64_t changed_from,
                   int64_t to, const char *zone, struct journal_month **months, size_t *count, struct error *error)
{
    *months = NULL;
    *count = 0;
    if (log->count == 0 || to <= log->spans[0].from)
        return 0;
    int first = calendar_month_of(log->spans[0].from);
    int end = calendar_month_of(to); /* this one has not ended */
    int from;
    if (first >= end)
        return 0;
    if (find_missing(reader, host, zone, first, &from, error))
        return -1;
    int changed = calendar_month_of(changed_from);
    if (changed < from)
        from = changed > first ? changed : first;
    if (from >= end)
        return 0;
    *months = calloc((size_t)(end - from), sizeof **months);
    if (!*months)
        return error_set(error, "out of memory");
    for (int month = from; month < end; month++)
        (*months)[(*count)++] = count_month(host, log, month, zone);
    return 0;
}
