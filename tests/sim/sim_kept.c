/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_kept.c - whatever a receiver or the network misses reaches the record later.
 *
 * The network is cut for some hosts or all, the receiver is stopped or killed, and datagrams are lost both ways; no
 * agent ends, and nothing is away for as long as it takes to fill an agent's memory. Then every beat that was ever made
 * is stored in the end. If nothing happens, no beat is sent as a kept one. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define S NS_PER_S

struct plan {
    uint64_t seed;
    double loss;
    int64_t intervals_ns[5];
    int64_t away_max_ns; /* one absence; shorter than AGENT_KEEP_MAX of the shortest interval */
    int64_t calm_ns;     /* between two, so that what was missed can follow */
    int64_t length_ns;
    int events;
};

struct totals {
    uint64_t beats, datagrams, kept, absent;
};

static void set_cut(struct sim *sim, size_t only, bool cut)
{
    for (size_t i = 0; i < sim->host_count; i++)
        if (only == sim->host_count || only == i)
            sim_set_cut(sim, i, cut);
}

/* One absence, of any kind. */
static void miss_something(struct sim *sim, int64_t away_max_ns)
{
    int64_t away_ns = sim_random_between(&sim->script, NS_PER_S / 10, away_max_ns);
    int64_t kind = sim_random_between(&sim->script, 0, 5);
    size_t host = (size_t)sim_random_between(&sim->script, 0, (int64_t)sim->host_count); /* or all */
    switch (kind) {
    case 0:
    case 1:
        set_cut(sim, host, true);
        sim_run_for(sim, away_ns);
        set_cut(sim, host, false);
        return;
    case 2:
        sim_receiver_stop(sim);
        sim_run_for(sim, away_ns);
        sim_receiver_start(sim);
        return;
    case 3:
        sim_receiver_kill(sim);
        sim_run_for(sim, away_ns);
        sim_receiver_start(sim);
        return;
    case 4: /* again and again, also while kept beats come in */
        for (int i = 0; i < 5; i++) {
            sim_receiver_kill(sim);
            sim_run_for(sim, away_ns / 10);
            sim_receiver_start(sim);
            sim_run_for(sim, away_ns / 10);
        }
        return;
    default: sim_receiver_stall(sim, away_ns); sim_run_for(sim, away_ns);
    }
}

/* Every beat made before `until` is stored. */
static uint64_t check_stored(struct sim *sim, size_t index, int64_t until)
{
    const struct sim_host *host = &sim->hosts[index];
    const struct sim_stored_host *stored = sim_stored(sim, index);
    uint64_t count = 0;
    bool *found = calloc(host->made_count + 2, sizeof *found); /* by number: there is one agent start */
    for (size_t i = 0; i < stored->heard_count; i++)
        found[stored->heard[i].number] = true;
    for (size_t i = 0; i < host->made_count; i++) {
        if (host->made[i].due >= until)
            continue;
        if (!found[host->made[i].number])
            sim_fail(sim, "%s: beat %u, due at %.2f, was kept and never stored", host->name, host->made[i].number,
                     (double)host->made[i].due / (double)S);
        count++;
    }
    free(found);
    return count;
}

static void run(const struct plan *plan, struct totals *totals)
{
    struct sim_link link = {.loss = plan->loss, .delay_ns = 20 * NS_PER_MS, .jitter_ns = 5 * NS_PER_MS};
    struct sim_options options = {.seed = plan->seed, .to_receiver = link, .to_agent = link, .keep = true};
    struct sim *sim = sim_create(&options);
    for (size_t i = 0; i < 5; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "host%zu", i + 1);
        sim_add_host(sim, name, plan->intervals_ns[i]);
    }
    sim_receiver_start(sim);
    sim_boot_all(sim);
    for (int i = 0; i < plan->events; i++) {
        sim_run_for(sim, plan->calm_ns + sim_random_between(&sim->script, 0, plan->calm_ns));
        miss_something(sim, plan->away_max_ns);
        totals->absent++;
    }
    sim_run_for(sim, plan->calm_ns);
    int64_t end = sim->now;
    sim_run_for(sim, plan->length_ns);
    sim_check_replay(sim);
    for (size_t i = 0; i < sim->host_count; i++)
        totals->beats += check_stored(sim, i, end);
    totals->datagrams += sim->datagrams;
    totals->kept += sim->kept_datagrams;
    if (plan->events == 0 && plan->loss <= 0 && sim->kept_datagrams > 0)
        sim_fail(sim, "nothing happened, and %" PRIu64 " beats were sent as kept ones", sim->kept_datagrams);
    sim_destroy(sim);
}

int main(int argc, char **argv)
{
    bool is_long = argc > 1 && strcmp(argv[1], "--long") == 0;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    uint64_t seeds = argc > 2 ? 1 : is_long ? 60 : 2;
    static const double losses[] = {0, 0.01, 0.05, 0.20};
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        struct totals totals = {0};
        for (uint64_t at = seed; at < seed + seeds; at++) {
            struct plan slow = {.seed = at,
                                .loss = losses[i],
                                .intervals_ns = {1 * S, 2 * S, 10 * S, 60 * S, 300 * S},
                                .away_max_ns = 200 * S,
                                .calm_ns = 400 * S,
                                .length_ns = 3000 * S,
                                .events = is_long ? 40 : 5};
            struct plan fast = {.seed = at,
                                .loss = losses[i],
                                .intervals_ns = {S / 4, S / 4, S / 2, S / 2, S},
                                .away_max_ns = 50 * S,
                                .calm_ns = 200 * S,
                                .length_ns = 600 * S,
                                .events = is_long ? 40 : 5};
            run(&slow, &totals);
            run(&fast, &totals);
        }
        printf("seeds %" PRIu64 " to %" PRIu64 ", %4.1f %% loss: %" PRIu64 " absences, all %" PRIu64
               " beats stored; %" PRIu64 " sent as kept ones, %" PRIu64 " datagrams in all\n",
               seed, seed + seeds - 1, losses[i] * 100, totals.absent, totals.beats, totals.kept, totals.datagrams);
    }
    struct totals totals = {0};
    struct plan calm = {.seed = seed,
                        .intervals_ns = {S / 4, S, 60 * S, 300 * S, 4500 * S},
                        .calm_ns = (is_long ? 432000 : 9000) * S,
                        .length_ns = 600 * S};
    run(&calm, &totals);
    printf("nothing happened: %" PRIu64 " beats, %" PRIu64 " sent as kept ones\n", totals.beats, totals.kept);
    return 0;
}
