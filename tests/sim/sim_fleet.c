/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_fleet.c - fleets of 20 hosts in which everything goes wrong by chance, and what must hold all the same.
 *
 *   sim_fleet             a few fleets for some days each
 *   sim_fleet --long      200 fleets for 90 days each, on all processors
 *   sim_fleet [--long] --seed N [COUNT]     that fleet alone, or as many from it on: what fails can be replayed
 *
 * After each run the record is held against the truth that only the simulator knows (fleet_truth.c), and state.rrd, as
 * it was written on the way, against the record by the program rrdtool (fleet_rrd.c). Besides:
 *   - what is stored, loaded into a fresh receiver, gives the very state of the one that runs (store.c);
 *   - no beat is called safe that a kill can take away (process.c, with each ack);
 *   - a receiver that is killed and comes back at once leaves the same record as one that never died, but for outages
 *     that begin or end around a kill;
 *   - the same seed gives the same bytes, whatever the wall clocks of the hosts do meanwhile.
 * A failure prints its seed, what was expected, what is recorded, and the trace of that host. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/fleet.h"

#define S FLEET_S
#define DAY (24 * FLEET_HOUR)

enum { SEEDS_LONG = 200, DAYS_LONG = 90, SEEDS_SHORT = 3, DAYS_SHORT = 2, RRD_HOSTS = 3, RRD_ALL_EVERY = 20 };

struct totals {
    struct fleet_checked checked;
    uint64_t fleets, datagrams, beats, absences, questions;
    double days;
    unsigned compared;
};

/* ---- a receiver that dies, and one that does not ---- */

static bool overlaps_absence(const struct sim *sim, int64_t from, int64_t to)
{
    for (size_t i = 0; i < sim->store.away_count; i++)
        if (sim->store.away[i].from < to && sim->store.away[i].to > from)
            return true;
    return false;
}

/* How many edges of the record of `a` have been compared with the one of `b`; fails where one is missing. Edges near
 * an absence may differ: a kill loses what was heard in the second before it. */
static unsigned compare_edges(struct sim *a, const struct sim *b, const struct sim *killed, size_t index)
{
    struct timeline ta, tb;
    sim_timeline(a, index, &ta);
    sim_timeline(b, index, &tb);
    int64_t near_s = 3 * a->hosts[index].interval_ns / S;
    int64_t tolerance_s = 1 + near_s / 100; /* the rhythm was not learned from the very same beats */
    unsigned compared = 0;
    for (size_t i = 1; i < ta.count; i++) {
        const struct timeline_span *span = &ta.spans[i];
        int64_t calm_from = ta.spans[i - 1].state == STATE_UP ? span->from : ta.spans[i - 1].from;
        if (overlaps_absence(killed, (calm_from - near_s - SIM_EPOCH_S) * S, (span->from + near_s - SIM_EPOCH_S) * S))
            continue;
        /* A margin learned from other beats may spare a short silence the verdict. */
        const struct timeline_span *silence = span->state == STATE_UP ? span - 1 : span;
        int64_t silence_end = silence + 1 < ta.spans + ta.count ? silence[1].from : INT64_MAX;
        if (silence->cause != CAUSE_REBOOT && silence->cause != CAUSE_SHUTDOWN && silence_end - silence->from < near_s)
            continue;
        bool found = false;
        for (size_t k = 0; k < tb.count && !found; k++)
            found = llabs(tb.spans[k].from - span->from) <= tolerance_s && tb.spans[k].state == span->state &&
                    tb.spans[k].cause == span->cause;
        if (!found)
            sim_fail_about(a, index, (span->from - SIM_EPOCH_S - 600) * S, (span->from - SIM_EPOCH_S + 1200) * S,
                           "%s: only the receiver that %s says %s %s from %lld", a->hosts[index].name,
                           a == killed ? "was killed" : "was never killed", state_token(span->state),
                           cause_token(span->cause), (long long)(span->from - SIM_EPOCH_S));
        compared++;
    }
    timeline_free(&ta);
    timeline_free(&tb);
    return compared;
}

/* One receiver is killed now and then and is back before anything was missed, the other one never is. */
static unsigned compare_killed(uint64_t seed, int64_t length_ns)
{
    struct fleet_plan plan = {.seed = seed,
                              .length_ns = length_ns,
                              .link = {.delay_ns = 20 * NS_PER_MS},
                              .host_ns = 2 * FLEET_HOUR,
                              .cut_ns = 10 * FLEET_HOUR,
                              .kills_only = true};
    struct fleet_checked checked = {0};
    struct sim *spared = fleet_simulate(&plan, NULL);
    plan.receiver_ns = 30 * FLEET_MINUTE;
    struct sim *killed = fleet_simulate(&plan, NULL);
    fleet_check(killed, &checked);
    unsigned compared = 0;
    for (size_t i = 0; i < FLEET_HOSTS; i++)
        compared += compare_edges(killed, spared, killed, i) + compare_edges(spared, killed, killed, i);
    sim_destroy(killed);
    sim_destroy(spared);
    return compared;
}

/* ---- the runs ---- */

static struct fleet_plan plan_of(uint64_t seed, bool is_long)
{
    static const double losses[] = {0, 0.05, 0, 0.01, 0.20};
    int64_t rare = is_long ? 3 : 1; /* short runs are crowded */
    struct fleet_plan plan = {.seed = seed,
                              .length_ns = (is_long ? DAYS_LONG : DAYS_SHORT) * DAY,
                              .keepless = seed % 3 == 0,
                              .conservative = seed % 8 == 7,
                              .host_ns = 4 * rare * FLEET_HOUR,
                              .cut_ns = 8 * rare * FLEET_HOUR,
                              .group_ns = 24 * rare * FLEET_HOUR,
                              .window_ns = 6 * rare * FLEET_HOUR,
                              .receiver_ns = 4 * rare * FLEET_HOUR,
                              .receiver_off_ns = 20 * FLEET_MINUTE,
                              .fast_share = 0.02,
                              .flush_ns = 2 * rare * FLEET_HOUR,
                              .rrd_hosts = seed % RRD_ALL_EVERY == 0 ? FLEET_HOSTS : RRD_HOSTS};
    plan.link = (struct sim_link){.loss = losses[seed % 5], .delay_ns = 20 * NS_PER_MS};
    if (seed % 2 == 0) {
        plan.link.jitter_ns = 5 * NS_PER_MS;
        plan.link.duplicate = 0.01;
        plan.link.reorder = 0.01;
        plan.link.reorder_ns = 2 * S;
    }
    return plan;
}

static uint64_t run_and_check(const struct fleet_plan *plan, struct totals *totals)
{
    struct fleet_rrd *rrd = plan->rrd_hosts > 0 ? fleet_rrd_create(plan->rrd_hosts) : NULL;
    struct sim *sim = fleet_simulate(plan, rrd);
    fleet_check(sim, &totals->checked);
    if (rrd)
        totals->questions += fleet_rrd_check(rrd, sim);
    for (uint32_t id = 1; id <= sim->store.host_count; id++)
        totals->beats += sim->store.hosts[id].heard_count;
    totals->fleets++;
    totals->datagrams += sim->datagrams;
    totals->absences += sim->store.away_count;
    totals->days += (double)sim->now / (double)DAY;
    uint64_t digest = sim->store.digest ^ sim->datagrams;
    sim_destroy(sim);
    if (rrd)
        fleet_rrd_destroy(rrd);
    return digest;
}

static void run_seed(uint64_t seed, bool is_long, struct totals *totals)
{
    struct fleet_plan plan = plan_of(seed, is_long);
    uint64_t digest = run_and_check(&plan, totals);
    if (seed % 20 == 1) {
        plan.step_walls = true;
        struct totals again = {0};
        if (run_and_check(&plan, &again) != digest) {
            printf("FAILED: seed %" PRIu64 " gives other bytes when hosts set their wall clocks\n", seed);
            exit(1);
        }
    }
    totals->compared += compare_killed(seed, is_long ? DAY : DAY / 2);
}

static void print_totals(const struct totals *t, uint64_t first, uint64_t last, uint64_t step)
{
    printf("seeds %" PRIu64 " to %" PRIu64 "%s: %" PRIu64 " fleets of %d hosts, %.0f days, %" PRIu64
           " beats heard, %" PRIu64 " datagrams, %" PRIu64 " absences of the receiver; %" PRIu64 " gaps (%" PRIu64
           " within bounds of what was learned) "
           "and %" PRIu64 " spans as the truth has them, %" PRIu64 " true edges within their bounds; %" PRIu64
           " times rrdtool read the same; %u edges alike with and without kills\n",
           first, last, step > 1 ? " by turns" : "", t->fleets, FLEET_HOSTS, t->days, t->beats, t->datagrams,
           t->absences, t->checked.gaps, t->checked.open, t->checked.outages, t->checked.edges, t->questions,
           t->compared);
    (void)fflush(stdout);
}

static void run_seeds(uint64_t first, uint64_t count, uint64_t step, bool is_long)
{
    struct totals totals = {0};
    for (uint64_t seed = first; seed < first + count; seed += step)
        run_seed(seed, is_long, &totals);
    print_totals(&totals, first, first + count - 1, step);
}

/* Each processor takes its turn of the seeds. */
static int run_on_all(uint64_t first, uint64_t count, bool is_long)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t workers = processors > 1 ? (uint64_t)processors : 1;
    int failed = 0, status = 0;
    for (uint64_t i = 0; i < workers && i < count; i++) {
        if (fork() != 0)
            continue;
        run_seeds(first + i, count - i, workers, is_long);
        exit(0);
    }
    while (wait(&status) > 0)
        failed |= status != 0;
    return failed;
}

int main(int argc, char **argv)
{
    bool is_long = argc > 1 && strcmp(argv[1], "--long") == 0;
    int next = is_long ? 2 : 1;
    uint64_t seed = 1, seeds = is_long ? SEEDS_LONG : SEEDS_SHORT;
    if (argc > next + 1 && strcmp(argv[next], "--seed") == 0) {
        seed = strtoull(argv[next + 1], NULL, 10);
        seeds = argc > next + 2 ? strtoull(argv[next + 2], NULL, 10) : 1;
    } else if (argc > next) {
        fprintf(stderr, "usage: sim_fleet [--long] [--seed N [COUNT]]\n");
        return 2;
    }
    if (is_long && seeds > 1)
        return run_on_all(seed, seeds, is_long);
    run_seeds(seed, seeds, 1, is_long);
    return 0;
}
