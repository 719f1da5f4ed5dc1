/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_load.c - see sample_load.h. The text is one line: "0.20 0.18 0.12 1/80 11206". */
#include "agent/sample_load.h"

#include <stdio.h>
#include <string.h>

void sample_load(double metrics[METRIC_COUNT], const char *text)
{
    /* Read as whole numbers, since a fraction would be read by the rules of the locale. */
    unsigned long whole[3], hundredths[3], running, processes;
    int end = 0;
    if (sscanf(text, "%9lu.%2lu %9lu.%2lu %9lu.%2lu %9lu/%9lu%n", &whole[0], &hundredths[0], &whole[1], &hundredths[1],
               &whole[2], &hundredths[2], &running, &processes, &end) != 8 ||
        !strchr(text + end, '\n'))
        return;
    metrics[METRIC_LOAD1] = (double)whole[0] + (double)hundredths[0] / 100;
    metrics[METRIC_LOAD5] = (double)whole[1] + (double)hundredths[1] / 100;
    metrics[METRIC_LOAD15] = (double)whole[2] + (double)hundredths[2] / 100;
    metrics[METRIC_RUNNING] = (double)running;
    metrics[METRIC_PROCESSES] = (double)processes;
}
