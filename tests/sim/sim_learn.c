/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_learn.c - how soon the rhythm of a host is known, and what must not disturb it.
 *
 * After two beats the expectation is a measured one; after ten the interval is within 2 % although the network jitters.
 * Another interval makes no false verdict, and neither do datagrams that arrive twice or overtake each other: with them
 * the record reads as without. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define MS NS_PER_MS
#define S NS_PER_S

static struct sim_options jittery(uint64_t seed)
{
    struct sim_link link = {.delay_ns = 20 * MS, .jitter_ns = 3 * MS};
    return (struct sim_options){.seed = seed, .to_receiver = link, .to_agent = link, .keep = true};
}

static double error_of(const struct host *host, int64_t interval_ns)
{
    double learned = (double)expectation_interval_ns(&host->expectation);
    return learned / (double)interval_ns - 1;
}

/* A host with that interval is learned from its first beat on. */
static void learn(uint64_t seed, int64_t interval_ns)
{
    struct sim_options options = jittery(seed);
    struct sim *sim = sim_create(&options);
    sim_add_host(sim, "web1", interval_ns);
    sim_receiver_start(sim);
    sim_run(sim, S);
    sim_boot(sim, 0);
    sim_start_agent(sim, 0);
    sim_run_for(sim, interval_ns + interval_ns / 2); /* two beats */
    const struct host *host = sim_judged(sim, 0);
    if (!host || host->expectation.samples < 1)
        sim_fail(sim, "two beats did not give a measured interval");
    double after_2 = error_of(host, interval_ns);
    sim_run_for(sim, 8 * interval_ns);
    double after_10 = error_of(host, interval_ns);
    double margin = (double)expectation_margin_ns(&host->expectation) / (double)interval_ns;
    if (host->numbers.newest != 10 || after_10 > 0.02 || after_10 < -0.02)
        sim_fail(sim, "after %u beats the interval is off by %.1f %%", host->numbers.newest, after_10 * 100);
    if (seed % 100 == 1)
        printf("T = %4.0f s: off by %+.2f %% after 2 beats, %+.2f %% after 10, margin %.3f T\n",
               (double)interval_ns / (double)S, after_2 * 100, after_10 * 100, margin);
    sim_run_for(sim, 50 * interval_ns);
    if (sim->downs > 0)
        sim_fail(sim, "a host in good health was called down");
    sim_destroy(sim);
}

/* The agent is started anew with another interval: longer, shorter, much longer. */
static void change(uint64_t seed)
{
    static const int64_t intervals_s[] = {60, 300, 10, 1, 3600, 60, 4, 60};
    struct sim_options options = jittery(seed);
    options.to_receiver.loss = options.to_agent.loss = seed % 2 ? 0.01 : 0;
    struct sim *sim = sim_create(&options);
    sim_add_host(sim, "web1", intervals_s[0] * S);
    sim_receiver_start(sim);
    sim_boot_all(sim);
    for (size_t i = 1; i < sizeof intervals_s / sizeof *intervals_s; i++) {
        sim_run_for(sim, sim_random_between(&sim->script, 5, 40) * sim->hosts[0].interval_ns / 2);
        sim_set_interval(sim, 0, intervals_s[i] * S);
    }
    sim_run_for(sim, 3600 * S);
    sim_check_replay(sim);
    struct timeline timeline;
    sim_timeline(sim, 0, &timeline);
    /* After a loss the goodbye of an agent with a short interval may lapse before the next one is heard: unknown,
     * not down. */
    for (size_t i = 0; i < timeline.count; i++)
        if (timeline.spans[i].state == STATE_DOWN || (timeline.count > 1 && seed % 2 == 0))
            sim_fail(sim, "a change of the interval left %zu spans in the record", timeline.count);
    timeline_free(&timeline);
    sim_destroy(sim);
}

/* A day with a few crashes, under a network that doubles and reorders as told. */
static struct timeline day(uint64_t seed, double duplicate, int64_t reorder_ns)
{
    struct sim_options options = jittery(seed);
    options.to_receiver.jitter_ns = options.to_agent.jitter_ns = 0; /* the same arrivals in all runs */
    options.to_receiver.duplicate = options.to_agent.duplicate = duplicate;
    options.to_receiver.reorder = options.to_agent.reorder = reorder_ns > 0 ? 0.05 : 0;
    options.to_receiver.reorder_ns = options.to_agent.reorder_ns = reorder_ns;
    struct sim *sim = sim_create(&options);
    sim_add_host(sim, "web1", 60 * S);
    sim_receiver_start(sim);
    sim_run(sim, 500 * MS);
    sim_boot(sim, 0);
    sim_start_agent(sim, 0);
    for (int i = 0; i < 4; i++) {
        sim_run_for(sim, sim_random_between(&sim->script, 300, 330) * 60 * S + 20 * S);
        sim_crash(sim, 0);
        sim_run_for(sim, (i + 1) * 120 * S + 15 * S);
        sim_boot(sim, 0);
        sim_run_for(sim, 9 * S);
        sim_start_agent(sim, 0);
    }
    sim_run_for(sim, 1200 * S);
    sim_check_replay(sim);
    struct timeline timeline;
    sim_timeline(sim, 0, &timeline);
    if (timeline.count != 9)
        sim_fail(sim, "four crashes left %zu spans in the record", timeline.count);
    sim_destroy(sim);
    return timeline;
}

/* Edges may differ by so many seconds: a beat counts by its first datagram, and nothing can tell that this one is
 * late. It is overtaken by a repetition 1 s or 3 s after the beat was due. */
static void compare_days(uint64_t seed, double duplicate, int64_t reorder_ns, int64_t tolerance_s)
{
    struct timeline plain = day(seed, 0, 0);
    struct timeline disturbed = day(seed, duplicate, reorder_ns);
    for (size_t i = 0; i < plain.count; i++) {
        const struct timeline_span *a = &plain.spans[i], *b = &disturbed.spans[i];
        if (a->state == b->state && a->cause == b->cause && llabs(a->from - b->from) <= tolerance_s)
            continue;
        printf("span %zu: %s from %lld without, %s from %lld with doubled or overtaken datagrams\nFAILED, seed %" PRIu64
               "\n",
               i, state_token(a->state), (long long)(a->from - SIM_EPOCH_S), state_token(b->state),
               (long long)(b->from - SIM_EPOCH_S), seed);
        exit(1);
    }
    timeline_free(&plain);
    timeline_free(&disturbed);
}

int main(int argc, char **argv)
{
    static const int64_t intervals_s[] = {1, 10, 60, 300, 3600};
    bool is_long = argc > 1 && strcmp(argv[1], "--long") == 0;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    uint64_t seeds = argc > 2 ? 1 : is_long ? 1000 : 10;
    printf("seeds %" PRIu64 " to %" PRIu64 "\n", seed, seed + seeds - 1);
    for (uint64_t last = seed + seeds; seed < last; seed++) {
        for (size_t i = 0; i < sizeof intervals_s / sizeof *intervals_s; i++)
            learn(seed, intervals_s[i] * S);
        change(seed);
        compare_days(seed, 0.5, 0, 0);
        compare_days(seed, 0.3, 6 * S, 3);
    }
    printf("learned, also with other intervals, doubled and overtaken datagrams\n");
    return 0;
}
