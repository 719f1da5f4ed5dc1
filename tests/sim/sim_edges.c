/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_edges.c - how long the record says that an outage was, against how long it was.
 *
 *   sim_edges           some hundred outages of each length
 *   sim_edges --long    some thousand
 *   sim_edges [--long] --seed N
 *
 * Hosts with an interval of 60 s crash and boot; an outage is the time from death to the start of the kernel, and the first
 * heartbeat comes 10 to 30 s after that. Printed is the mean error of an outage (bias) and its root mean square, in
 * seconds, for this receiver and, from the same runs, for two others: one that takes the time of the verdict for the
 * beginning, and one that takes the last heartbeat, both up to the first heartbeat after it; what reached no verdict, they
 * never saw. The receiver must not be worse than what can be had without asking the host more: the middle between the last
 * heartbeat and the next one due, the boot that the heartbeat tells of, and an outage for every new boot. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define S NS_PER_S
#define MINUTE (60 * S)

enum { HOSTS = 20, OUTAGES_SHORT = 20, OUTAGES_LONG = 200, METHODS = 3, MEANS = 3 };

/* Bias and root mean square that are to be reached, by mean length of the outages. */
static const struct {
    int64_t mean_s;
    double bias, rms;
} goals[MEANS] = {{30, 6.5, 15}, {300, 0.9, 17}, {7200, 0.0, 17}};

static const char *const methods[METHODS] = {"this receiver", "verdict to first beat", "last beat to first beat"};

struct errors {
    double sum, squares;
    size_t count;
};

static void add(struct errors *errors, double recorded_s, double true_s)
{
    double error = recorded_s - true_s;
    errors->sum += error;
    errors->squares += error * error;
    errors->count++;
}

enum next { CRASH, BOOT, AGENT };

static void live(struct sim *sim, size_t outages, int64_t mean_ns)
{
    struct {
        enum next next;
        int64_t at;
        size_t left;
    } lives[HOSTS];
    for (size_t i = 0; i < HOSTS; i++) {
        lives[i].next = CRASH;
        lives[i].at = sim->now + 10 * MINUTE + sim_random_exponential(&sim->script, 3 * mean_ns);
        lives[i].left = outages;
    }
    for (;;) {
        size_t i = HOSTS;
        for (size_t k = 0; k < HOSTS; k++)
            if (lives[k].left > 0 && (i == HOSTS || lives[k].at < lives[i].at))
                i = k;
        if (i == HOSTS)
            break;
        sim_run(sim, lives[i].at);
        if (lives[i].next == CRASH) {
            sim_crash(sim, i);
            lives[i].at = sim->now + 1 + sim_random_exponential(&sim->script, mean_ns);
        } else if (lives[i].next == BOOT) {
            sim_boot(sim, i);
            lives[i].at = sim->now + sim_random_between(&sim->script, 10 * S, 30 * S);
        } else {
            sim_start_agent(sim, i);
            lives[i].left--;
            lives[i].at = sim->now + 10 * MINUTE + sim_random_exponential(&sim->script, 3 * mean_ns);
        }
        lives[i].next = lives[i].next == AGENT ? CRASH : lives[i].next + 1;
    }
    sim_run_for(sim, 10 * MINUTE);
}

/* The first beat that was due after `at`, and in `before` the one before it. */
static int64_t beat_after(const struct sim_stored_host *stored, int64_t at, int64_t *before)
{
    size_t low = 0, high = stored->heard_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (stored->heard[middle].due <= at)
            low = middle + 1;
        else
            high = middle;
    }
    *before = stored->heard[low - 1].due;
    return stored->heard[low].due;
}

/* When the receiver said that the host is down; 0: not in that time. */
static int64_t verdict_in(const struct sim_stored_host *stored, int64_t from, int64_t to)
{
    for (size_t i = 0; i < stored->line_count; i++) {
        const struct transition *line = &stored->lines[i];
        int64_t decided = (line->decided - SIM_EPOCH_S) * S;
        if (line->cause == CAUSE_SILENT && decided > from && decided < to)
            return decided;
    }
    return 0;
}

static double length_s(int64_t from, int64_t to)
{
    return (double)(to - from) / (double)S;
}

static void measure(const struct sim *sim, size_t host, struct errors errors[METHODS])
{
    const struct sim_stored_host *stored = sim_stored(sim, host);
    const struct sim_host *truth = &sim->hosts[host];
    struct timeline timeline;
    sim_timeline(sim, host, &timeline);
    int64_t off = 0;
    for (size_t i = 0; i < truth->truth_count; i++) {
        if (truth->truth[i].what == SIM_OFF)
            off = truth->truth[i].at;
        if (truth->truth[i].what != SIM_BOOT || off == 0)
            continue;
        int64_t boot = truth->truth[i].at, last;
        int64_t first = beat_after(stored, boot, &last);
        int64_t verdict = verdict_in(stored, off, first);
        double true_s = length_s(off, boot);
        struct timeline_seconds seconds;
        timeline_count(&timeline, SIM_EPOCH_S + off / S - 180, SIM_EPOCH_S + boot / S + 180, &seconds);
        add(&errors[0], (double)seconds.state[STATE_DOWN], true_s);
        add(&errors[1], verdict ? length_s(verdict, first) : 0, true_s);
        add(&errors[2], verdict ? length_s(last, first) : 0, true_s);
    }
    timeline_free(&timeline);
}

static void run(uint64_t seed, size_t outages, int64_t mean_s, struct errors errors[METHODS])
{
    struct sim_link link = {.delay_ns = 10 * NS_PER_MS, .jitter_ns = 5 * NS_PER_MS};
    struct sim_options options = {
        .seed = seed, .to_receiver = link, .to_agent = link, .checkpoints = 0.001, .keep = true};
    struct sim *sim = sim_create(&options);
    for (size_t i = 0; i < HOSTS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "host%02zu", i);
        sim_add_host(sim, name, MINUTE);
    }
    sim_receiver_start(sim);
    sim_boot_all(sim);
    live(sim, outages, mean_s * S);
    for (size_t i = 0; i < HOSTS; i++)
        measure(sim, i, errors);
    sim_destroy(sim);
}

static double bias_of(const struct errors *errors)
{
    return errors->sum / (double)errors->count;
}

static double rms_of(const struct errors *errors)
{
    return sqrt(errors->squares / (double)errors->count);
}

/* No worse than the goal, but for chance: three standard deviations of a mean of that many outages. */
static bool is_good(const struct errors *errors, size_t goal)
{
    double chance = 3 / sqrt((double)errors->count);
    double rounding = 0.5; /* of the goals as they are told */
    return fabs(bias_of(errors)) <= goals[goal].bias + rounding + goals[goal].rms * chance &&
           rms_of(errors) <= (goals[goal].rms + rounding) * (1 + chance);
}

int main(int argc, char **argv)
{
    bool is_long = argc > 1 && strcmp(argv[1], "--long") == 0;
    int next = is_long ? 2 : 1;
    uint64_t seed = argc > next + 1 && strcmp(argv[next], "--seed") == 0 ? strtoull(argv[next + 1], NULL, 10) : 1;
    size_t outages = is_long ? OUTAGES_LONG : OUTAGES_SHORT;
    struct errors errors[MEANS][METHODS] = {0};
    bool good = true;
    for (size_t i = 0; i < MEANS; i++)
        run(seed + i, outages, goals[i].mean_s, errors[i]);
    printf("seed %" PRIu64 ", %zu outages of each length; bias / root mean square in seconds\n", seed,
           errors[0][0].count);
    printf("%-24s %16s %16s %16s\n", "mean length", "30 s", "5 min", "2 h");
    for (size_t method = 0; method < METHODS; method++) {
        printf("%-24s", methods[method]);
        for (size_t i = 0; i < MEANS; i++)
            printf("   %+6.1f / %5.1f", bias_of(&errors[i][method]), rms_of(&errors[i][method]));
        printf("\n");
    }
    printf("%-24s", "to be reached");
    for (size_t i = 0; i < MEANS; i++) {
        printf("   %+6.1f / %5.1f", goals[i].bias, goals[i].rms);
        good = is_good(&errors[i][0], i) && good;
    }
    printf("\n%s", good ? "" : "FAILED: the record is worse than it has to be\n");
    return good ? 0 : 1;
}
