/* SPDX-License-Identifier: GPL-2.0-or-later */
/* calendar.h - local times and months in the time zone of this process, TZ.
 *
 * A month is a number here, counted from year 0: the next one is the number plus 1. */
#ifndef RECEIVER_RECORD_CALENDAR_H
#define RECEIVER_RECORD_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

#define CALENDAR_ZONE_MAX 64
#define CALENDAR_MONTH_MAX 8 /* "YYYY-MM" */

/* Whether this machine knows the zone, as "Europe/Berlin". The C library itself would take an unknown one for UTC. */
bool calendar_knows_zone(const char *zone);

/* Makes `zone` that of this process, or leaves the system's if it is NULL, and tells its name. To be called before there are
 * threads. Returns 0, or -1 with `error` set. */
int calendar_use_zone(const char *zone, char name[CALENDAR_ZONE_MAX], struct error *error);

/* When the clocks here show `shown`, counted as if they stood in Greenwich: Unix seconds, the earlier one first. Returns how
 * often: once, or twice where they are set back, or 0 where they skip it; then out[0] is when they would have shown it. */
int calendar_find(int64_t out[2], int64_t shown);

/* The first second of a month, Unix seconds. */
int64_t calendar_month_begin(int month);
/* The month that a second lies in; of years 1970 to 9999, beyond them the first or last one. */
int calendar_month_of(int64_t at);
void calendar_month_format(char out[CALENDAR_MONTH_MAX], int month);

#endif
