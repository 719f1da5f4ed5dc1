/* SPDX-License-Identifier: GPL-2.0-or-later */
/* metric_rows.h - tables of texts and of the metrics that are to be read from them. A metric that a row does not name
 * must stay NaN. */
#ifndef TESTS_UNIT_METRIC_ROWS_H
#define TESTS_UNIT_METRIC_ROWS_H

#include <math.h>
#include <stddef.h>

#include "common/metric.h"

#define WANT_MAX 8

struct want {
    enum metric metric;
    double value;
};

struct row {
    const char *what;
    const char *text;
    struct want wants[WANT_MAX];
    size_t count;
};

/* Wants of a row, counted. */
#define WANTS(...) {__VA_ARGS__}, sizeof((struct want[]){__VA_ARGS__}) / sizeof(struct want)
#define NOTHING {{0}}, 0

static inline void clear(double metrics[METRIC_COUNT])
{
    for (int i = 0; i < METRIC_COUNT; i++)
        metrics[i] = (double)NAN;
}

static inline void check(const double metrics[METRIC_COUNT], const struct row *row)
{
    for (int i = 0; i < METRIC_COUNT; i++) {
        double want = (double)NAN;
        for (size_t k = 0; k < row->count; k++)
            if ((int)row->wants[k].metric == i)
                want = row->wants[k].value;
        if (isnan(want) ? !isnan(metrics[i]) : !(fabs(metrics[i] - want) < 1e-6))
            fail_msg("%s: %s is %f, not %f", row->what, metric_catalogue[i].name, metrics[i], want);
    }
}

#endif
