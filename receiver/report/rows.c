/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rows.c - see rows.h. */
#include "receiver/report/rows.h"

#include <math.h>

static double larger(double a, double b)
{
    return a > b ? a : b;
}

void rows_from_timeline(const struct timeline *timeline, int64_t limit, int64_t from, int64_t row_s, struct row *rows,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct uptime seconds;
        int64_t begin = from + (int64_t)i * row_s;
        uptime_count(timeline, begin, begin + row_s, limit, &seconds);
        rows[i] = (struct row){(double)seconds.up, (double)seconds.admin,
                               (double)(seconds.up + seconds.admin + seconds.down)};
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
