/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rows.c - see rows.h. */
#include "receiver/report/rows.h"

#include <math.h>
#include <string.h>

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Span by span, for a row seldom holds more than one. */
void rows_from_timeline(const struct timeline *timeline, int64_t limit, int64_t from, int64_t row_s, struct row *rows,
                        size_t count)
{
    int64_t to = earlier(from + (int64_t)count * row_s, limit);
    memset(rows, 0, count * sizeof *rows);
    for (size_t i = 0; i < timeline->count; i++) {
        enum state state = timeline->spans[i].state;
        int64_t end = i + 1 < timeline->count ? earlier(timeline->spans[i + 1].from, to) : to;
        int64_t begin = timeline->spans[i].from > from ? timeline->spans[i].from : from;
        for (int64_t until; state != STATE_UNKNOWN && begin < end; begin = until) {
            size_t row = (size_t)((begin - from) / row_s);
            until = earlier(end, from + ((int64_t)row + 1) * row_s);
            rows[row].known += (double)(until - begin);
            rows[row].up += state == STATE_UP ? (double)(until - begin) : 0;
            rows[row].admin += state == STATE_ADMIN ? (double)(until - begin) : 0;
        }
    }
}

void rows_merge(struct row *rows, const struct row *others, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rows[i].up = larger(rows[i].up, others[i].up);
        rows[i].admin = larger(rows[i].admin, others[i].admin);
        rows[i].known = larger(rows[i].known, others[i].known);
    }
}

void rows_count(const struct row *rows, size_t count, int64_t row_s, struct uptime *out)
{
    double up = 0, down = 0, admin = 0;
    for (size_t i = 0; i < count; i++) {
        /* Planned for the one, up for the other: seconds that are both are up. */
        double left = larger(rows[i].known - rows[i].up, 0);
        double planned = rows[i].admin < left ? rows[i].admin : left;
        up += rows[i].up;
        admin += planned;
        down += left - planned;
    }
    int64_t total = (int64_t)count * row_s;
    *out = (struct uptime){.up = llround(up), .down = llround(down), .admin = llround(admin)};
    int64_t known = out->up + out->down + out->admin;
    out->unknown = total > known ? total - known : 0;
}
