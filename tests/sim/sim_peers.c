/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_peers.c - one, two and three receivers that ask each other: how many of their live verdicts are wrong, and whether the
 * record is right in the end.
 *
 *   sim_peers              the table with a few fleets a cell, and the network at its worst
 *   sim_peers --table [HOSTS [SEEDS]]      the table only, of 50 hosts if not told otherwise
 *   sim_peers --long       tables of 5, 50 and 500 hosts, and more of everything
 *   sim_peers --seed N EVENT HOSTS RECEIVERS     one run: what fails can be replayed (EVENT: its row, from 0)
 *
 * A cell fails if it is worse than its reference by more than what chance and rounding explain: half of the last digit, and
 * three standard errors of a share of that size, as if all verdicts of a run were one. A reference of 0 so allows none. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/peers_events.h"
#include "tests/sim/peers_trouble.h"

enum { FEW_HOSTS = 5, HOSTS = 50, MANY_HOSTS = 500 };

typedef struct peers_tally table[EVENT_COUNT][WORLD_NODES_MAX];

static double reference_of(const struct peers_event *event, size_t hosts, size_t nodes)
{
    return hosts == FEW_HOSTS && nodes == 1 ? event->reference_few : event->reference[nodes - 1];
}

static double share_of(const struct peers_tally *tally)
{
    return tally->verdicts ? 100.0 * (double)tally->wrong / (double)tally->verdicts : 0;
}

static bool is_worse(const struct peers_tally *tally, double reference)
{
    double p = reference / 100;
    return share_of(tally) > reference + 0.05 + 300 * sqrt(p * (1 - p) / (double)tally->runs);
}

/* One event after the other on this processor; every one of them begins with the runs that are its turn. */
static void fill(table cells, size_t hosts, uint64_t first, uint64_t seeds, uint64_t step)
{
    for (uint64_t seed = first; seed < first + seeds; seed += step)
        for (size_t kind = 0; kind < EVENT_COUNT; kind++)
            for (size_t nodes = 1; nodes <= WORLD_NODES_MAX; nodes++) {
                struct peers_run run = {.kind = (enum peers_event_kind)kind,
                                        .options = {.seed = seed, .hosts = hosts, .nodes = nodes}};
                peers_run(&run, &cells[kind][nodes - 1]);
            }
}

static int wait_for_all(void)
{
    int failed = 0, status = 0;
    while (wait(&status) > 0)
        failed |= status != 0;
    return failed;
}

/* Each processor takes its turn of the seeds, and adds up in memory of its own that the others can read. */
static int fill_on_all(table cells, size_t hosts, uint64_t first, uint64_t seeds)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t workers = processors > 1 ? (uint64_t)processors : 1;
    table *parts = mmap(NULL, workers * sizeof(table), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (parts == MAP_FAILED)
        return 1;
    (void)fflush(stdout);
    for (uint64_t i = 0; i < workers && i < seeds; i++) {
        if (fork() != 0)
            continue;
        fill(parts[i], hosts, first + i, seeds - i, workers);
        exit(0);
    }
    int failed = wait_for_all();
    for (uint64_t i = 0; i < workers; i++)
        for (size_t k = 0; k < EVENT_COUNT * WORLD_NODES_MAX; k++) {
            struct peers_tally *sum = &cells[k / WORLD_NODES_MAX][k % WORLD_NODES_MAX];
            const struct peers_tally *part = &parts[i][k / WORLD_NODES_MAX][k % WORLD_NODES_MAX];
            sum->verdicts += part->verdicts;
            sum->wrong += part->wrong;
            sum->late += part->late;
            sum->runs += part->runs;
        }
    (void)munmap(parts, workers * sizeof(table));
    return failed;
}

static int print_table(table cells, size_t hosts)
{
    int failed = 0;
    uint64_t verdicts = 0, late = 0;
    printf("\nLive verdicts that are wrong, in percent (reference), %zu hosts, %" PRIu64 " runs a cell\n\n", hosts,
           cells[0][0].runs);
    printf("| event (right answer) | 1 receiver | 2 | 3 |\n|---|---|---|---|\n");
    for (size_t kind = 0; kind < EVENT_COUNT; kind++) {
        const struct peers_event *event = &peers_events[kind];
        printf("| %s (%s) |", event->name, state_token(event->right));
        for (size_t nodes = 1; nodes <= WORLD_NODES_MAX; nodes++) {
            const struct peers_tally *tally = &cells[kind][nodes - 1];
            double reference = reference_of(event, hosts, nodes);
            bool worse = is_worse(tally, reference);
            printf(" %.3g (%g)%s |", share_of(tally), reference, worse ? " WORSE" : "");
            failed |= worse;
            verdicts += tally->verdicts;
            late += tally->late;
        }
        printf("\n");
    }
    printf("\n%" PRIu64 " verdicts, of which %" PRIu64 " were put off: a lone receiver had been deaf\n", verdicts,
           late);
    (void)fflush(stdout);
    return failed;
}

static int run_table(size_t hosts, uint64_t seeds)
{
    table cells = {0};
    int failed = fill_on_all(cells, hosts, 1, seeds);
    if (failed)
        return failed;
    if (print_table(cells, hosts) != 0) {
        printf("FAILED: a cell is worse than its reference\n");
        return 1;
    }
    return 0;
}

/* Fleets of few hosts in which something was wrong once. */
static void run_known(void)
{
    static const uint64_t seeds[] = {32, 34, 54, 111};
    table cells = {0};
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++)
        fill(cells, FEW_HOSTS, seeds[i], 1, 1);
}

static int run_one(char **argv)
{
    struct peers_tally tally = {0};
    struct peers_run run = {.kind = (enum peers_event_kind)strtoul(argv[3], NULL, 10)};
    run.options.seed = strtoull(argv[2], NULL, 10);
    run.options.hosts = strtoul(argv[4], NULL, 10);
    run.options.nodes = strtoul(argv[5], NULL, 10);
    if (run.kind >= EVENT_COUNT || run.options.hosts < 1 || run.options.nodes < 1 ||
        run.options.nodes > WORLD_NODES_MAX)
        return 2;
    peers_run(&run, &tally);
    printf("%s: %" PRIu64 " of %" PRIu64 " verdicts wrong (%" PRIu64 " late)\n", peers_events[run.kind].name,
           tally.wrong, tally.verdicts, tally.late);
    return 0;
}

static int run_all(bool is_long)
{
    uint64_t times = is_long ? 20 : 1;
    int failed = run_table(HOSTS, 2 * times);
    failed |= run_table(FEW_HOSTS, 3 * times);
    if (is_long)
        failed |= run_table(MANY_HOSTS, times / 4);
    run_known();
    failed |= peers_trouble(times);
    if (!failed)
        printf("no cell worse, every record right in the end\n");
    return failed;
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "--seed") == 0)
        return run_one(argv);
    if (argc > 1 && strcmp(argv[1], "--table") == 0)
        return run_table(argc > 2 ? strtoul(argv[2], NULL, 10) : HOSTS, argc > 3 ? strtoull(argv[3], NULL, 10) : 20);
    if (argc > 1 && strcmp(argv[1], "--long") != 0) {
        fprintf(stderr, "usage: sim_peers [--long | --table [HOSTS [SEEDS]] | --seed N EVENT HOSTS RECEIVERS]\n");
        return 2;
    }
    return run_all(argc > 1);
}
