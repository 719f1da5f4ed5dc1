/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_stat.c - see sample_stat.h.
 *
 * The first line sums the ticks of all CPUs: user, nice, system, idle, iowait, irq, softirq, steal, and then guest
 * time, which user and nice hold already. The sum holds CPUs that are switched off, the lines below only those that are
 * on. Time spent waiting for disks is known to go back by some ticks now and then. */
#include "agent/sample_stat.h"

#include "agent/sample_device.h"
#include "agent/sample_text.h"

enum { USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, STEAL, TICK_KINDS };

static void take_total(double metrics[METRIC_COUNT], enum metric metric, struct span line)
{
    uint64_t total;
    if (text_next_number(&total, &line))
        metrics[metric] = (double)total;
}

static double percent_at(const struct cpu_state *state, int share, double percent_of_tick)
{
    return (double)state->base_micropercent[share] / 1e6 +
           (double)(state->last_ticks[share] - state->base_ticks[share]) * percent_of_tick;
}

/* Goes on from the present total, rounded up so that it does not go back: what is added from now on may be divided by
 * another number. */
static void take_base(struct cpu_state *state, int share, double percent)
{
    state->base_micropercent[share] = (uint64_t)(percent * 1e6) + 1;
    state->base_ticks[share] = state->last_ticks[share];
    state->changed = true;
}

static void take_ticks(struct cpu_state *state, const uint64_t ticks[CPU_SHARES], uint64_t cpu_count, double second)
{
    uint64_t divisor = cpu_count > state->cpu_count ? cpu_count : state->cpu_count;
    for (int i = 0; i < CPU_SHARES && state->cpu_count != 0; i++) {
        bool anew = false;
        double before = percent_at(state, i, second / (double)state->cpu_count);
        uint64_t growth = counter_growth(&state->last_ticks[i], ticks[i], &anew);
        if (anew || cpu_count != state->cpu_count)
            take_base(state, i, before + (double)growth * second / (double)divisor);
    }
    if (state->cpu_count == 0) {
        for (int i = 0; i < CPU_SHARES; i++)
            state->last_ticks[i] = ticks[i];
        state->changed = true;
    }
    state->cpu_count = cpu_count;
}

void sample_stat(double metrics[METRIC_COUNT], struct cpu_state *state, const char *text, long ticks_per_second)
{
    static const enum metric share_metrics[CPU_SHARES] = {METRIC_CPU_USER, METRIC_CPU_SYSTEM, METRIC_CPU_IOWAIT,
                                                          METRIC_CPU_STEAL};
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
    uint64_t shares[CPU_SHARES] = {ticks[USER] + ticks[NICE], ticks[SYSTEM] + ticks[IRQ] + ticks[SOFTIRQ],
                                   ticks[IOWAIT], ticks[STEAL]};
    double second = 100.0 / (double)ticks_per_second; /* percent-seconds of one CPU in a tick */
    take_ticks(state, shares, cpu_count, second);
    for (int i = 0; i < CPU_SHARES; i++)
        metrics[share_metrics[i]] = percent_at(state, i, second / cpu_count);
}
