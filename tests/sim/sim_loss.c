/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_loss.c - how often a host that is up is called down, because datagrams are lost.
 *
 * With acknowledged retransmission the answer at T = 60 s is: never, up to 20 % loss in both directions. To show
 * that the simulation could see it otherwise, the same is run with one unacknowledged datagram a beat: nobody who
 * judges after two missed expectations can then do better than (year / T) p^2 (1 - p) false verdicts a year, and
 * that is what must come out. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define YEAR_S 31536000.0
/* A part is one seed, so that a failure can be replayed soon; and the core takes no times beyond the year 2043. */
#define PART_YEARS 10

struct figures {
    uint64_t downs;
    double datagrams; /* a beat, agent to receiver and back */
};

/* A host that is up all the time. */
static struct figures run(uint64_t seed, double interval_s, double loss, double years, bool plain)
{
    struct sim_link link = {.loss = loss, .delay_ns = 10 * NS_PER_MS, .jitter_ns = 5 * NS_PER_MS};
    struct sim_options options = {.seed = seed, .to_receiver = link, .to_agent = link, .plain = plain};
    if (plain)
        options.to_agent.loss = 0;
    struct sim *sim = sim_create(&options);
    sim_add_host(sim, "web1", (int64_t)(interval_s * (double)NS_PER_S));
    sim_receiver_start(sim);
    sim_boot_all(sim);
    sim_run_for(sim, (int64_t)(years * YEAR_S * (double)NS_PER_S));
    double beats = years * YEAR_S / interval_s;
    struct figures figures = {sim->downs, (double)sim->datagrams / beats};
    sim_destroy(sim);
    return figures;
}

static bool with_acks(uint64_t seed, double interval_s, double loss, double years, bool promised)
{
    uint64_t downs = 0;
    double datagrams = 0;
    int parts = (int)ceil(years / PART_YEARS);
    for (int i = 0; i < parts; i++) {
        struct figures part = run(seed + (uint64_t)i, interval_s, loss, years / parts, false);
        downs += part.downs;
        datagrams += part.datagrams / parts;
        if (part.downs > 0 && promised)
            printf("seed %" PRIu64 ": %" PRIu64 " false verdicts\n", seed + (uint64_t)i, part.downs);
    }
    bool kept = downs == 0 || !promised;
    printf("T = %3.0f s, %4.1f %% loss, with acks: %" PRIu64 " false verdicts in %.2f host-years (%.3g a year), %.2f "
           "datagrams a beat%s\n",
           interval_s, loss * 100, downs, years, (double)downs / years, datagrams, kept ? "" : "  TOO MANY");
    (void)fflush(stdout);
    return kept;
}

static bool without_acks(uint64_t seed, double interval_s, double loss, double years)
{
    double floor_year = YEAR_S / interval_s * loss * loss * (1 - loss);
    double expected = floor_year * years;
    uint64_t downs = 0;
    int parts = (int)ceil(years / PART_YEARS);
    for (int i = 0; i < parts; i++)
        downs += run(seed + (uint64_t)i, interval_s, loss, years / parts, true).downs;
    /* Five standard deviations: one false alarm in a million runs. */
    bool kept = fabs((double)downs - expected) <= 5 * sqrt(expected) + 1;
    printf("T = %3.0f s, %4.1f %% loss, one datagram a beat: %" PRIu64
           " false verdicts in %.2f host-years, theory says "
           "%.1f%s\n",
           interval_s, loss * 100, downs, years, expected, kept ? "" : "  NOT THE FLOOR");
    (void)fflush(stdout);
    return kept;
}

int main(int argc, char **argv)
{
    bool is_long = argc > 1 && strcmp(argv[1], "--long") == 0;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    double years = is_long ? 20 : 0.05;
    bool good = true;
    printf("seed %" PRIu64 "\n", seed);
    static const double losses[] = {0, 0.01, 0.05, 0.20};
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++)
        good = with_acks(seed, 60, losses[i], years, true) && good;
    good = with_acks(seed, 10, 0.20, years / 5, false) && good;
    good = with_acks(seed, 1, 0.20, years / 50, false) && good;
    good = with_acks(seed, 10, 0.01, years / 5, false) && good;
    good = with_acks(seed, 1, 0.01, years / 50, false) && good;
    good = without_acks(seed, 60, 0.01, years) && good;
    good = without_acks(seed, 60, 0.05, years) && good;
    good = without_acks(seed, 60, 0.20, years) && good;
    if (is_long)
        good = with_acks(seed + 1000, 60, 0.20, 1000, true) && good;
    return good ? 0 : 1;
}
