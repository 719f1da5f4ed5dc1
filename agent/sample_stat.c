/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_stat.c - see sample_stat.h.
 *
 * The first line sums the ticks of all CPUs: user, nice, system, idle, iowait, irq, softirq, steal, and then guest
 * time, which user and nice hold already. Divided by the number of CPUs, 100 is full use of the whole machine. */
#include "agent/sample_stat.h"

#include <stdint.h>

#include "agent/sample_text.h"

enum { USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, STEAL, TICK_KINDS };

static void take_total(double metrics[METRIC_COUNT], enum metric metric, struct span line)
{
    uint64_t total;
    if (text_next_number(&total, &line))
        metrics[metric] = (double)total;
}

void sample_stat(double metrics[METRIC_COUNT], const char *text, long ticks_per_second)
{
    struct span line, word;
    uint64_t ticks[TICK_KINDS] = {0};
    bool have_ticks = false;
    unsigned cpu_count = 0;
    while (text_next_line(&line, &text)) {
        if (!text_next_word(&word, &line))
            continue;
        if (span_is(word, "cpu")) {
            (void)text_next_numbers(ticks, TICK_KINDS, &line); /* old kernels have fewer */
            have_ticks = true;
        } else if (span_begins(word, "cpu")) {
            cpu_count++;
        } else if (span_is(word, "ctxt")) {
            take_total(metrics, METRIC_CONTEXT_SWITCHES, line);
        } else if (span_is(word, "processes")) {
            take_total(metrics, METRIC_FORKS, line);
        }
    }
    if (!have_ticks || cpu_count == 0 || ticks_per_second <= 0)
        return;
    double percent = 100.0 / (double)ticks_per_second / cpu_count;
    metrics[METRIC_CPU_USER] = (double)(ticks[USER] + ticks[NICE]) * percent;
    metrics[METRIC_CPU_SYSTEM] = (double)(ticks[SYSTEM] + ticks[IRQ] + ticks[SOFTIRQ]) * percent;
    metrics[METRIC_CPU_IOWAIT] = (double)ticks[IOWAIT] * percent;
    metrics[METRIC_CPU_STEAL] = (double)ticks[STEAL] * percent;
}
