/* SPDX-License-Identifier: GPL-2.0-or-later */
/* uptime.c - see uptime.h. */
#include "receiver/report/uptime.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#define PERCENT_DIGITS 8 /* 100 percent in millionths is 10^8 */

void uptime_count(const struct timeline *timeline, int64_t from, int64_t to, int64_t limit, struct uptime *out)
{
    struct timeline_seconds seconds = {{0}, 0};
    int64_t end = to < limit ? to : limit;
    *out = (struct uptime){0};
    if (to <= from)
        return;
    if (end > from)
        timeline_count(timeline, from, end, &seconds);
    else
        end = from;
    out->up = seconds.state[STATE_UP];
    out->down = seconds.state[STATE_DOWN];
    out->unreachable = seconds.unreachable;
    out->admin = seconds.state[STATE_ADMIN];
    out->unknown = seconds.state[STATE_UNKNOWN] + (to - end);
    assert(out->up + out->down + out->admin + out->unknown == to - from);
}

void uptime_add(struct uptime *sum, const struct uptime *one)
{
    sum->up += one->up;
    sum->down += one->down;
    sum->unreachable += one->unreachable;
    sum->admin += one->admin;
    sum->unknown += one->unknown;
}

int64_t uptime_percent(const struct uptime *uptime)
{
    int64_t total = uptime->up + uptime->down;
    if (total <= 0)
        return PERCENT_NO_DATA;
    /* Long division, a digit a turn: up x 10^8 would not fit for a large fleet. */
    int64_t result = uptime->up / total, rest = uptime->up % total;
    for (int i = 0; i < PERCENT_DIGITS; i++) {
        rest *= 10;
        result = result * 10 + rest / total;
        rest %= total;
    }
    return result;
}

void uptime_percent_format(char out[PERCENT_TEXT_MAX], int64_t millionths)
{
    if (millionths < 0)
        (void)snprintf(out, PERCENT_TEXT_MAX, "no data");
    else
        (void)snprintf(out, PERCENT_TEXT_MAX, "%" PRId64 ".%06" PRId64, millionths / 1000000, millionths % 1000000);
}
