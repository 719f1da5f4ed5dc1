/* SPDX-License-Identifier: GPL-2.0-or-later */
/* metric.c - see metric.h. */
#include "common/metric.h"

#include <string.h>

const struct metric_info metric_catalogue[METRIC_COUNT] = {
#define METRIC_ROW(id, name, kind, unit, meaning) {name, METRIC_##kind, unit, meaning},
    METRIC_TABLE(METRIC_ROW)
#undef METRIC_ROW
};

int metric_find(const char *name)
{
    for (int i = 0; i < METRIC_COUNT; i++)
        if (strcmp(metric_catalogue[i].name, name) == 0)
            return i;
    return -1;
}
