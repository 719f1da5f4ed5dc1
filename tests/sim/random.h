/* SPDX-License-Identifier: GPL-2.0-or-later */
/* random.h - the chance of a simulation: xoshiro256** seeded by splitmix64 (Blackman and Vigna, public domain).
 *
 * Every use has a stream of its own, so that asking more of one (a network that also doubles datagrams) does not change
 * what another one answers. The same seed gives the same numbers on every machine. */
#ifndef TESTS_SIM_RANDOM_H
#define TESTS_SIM_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_random {
    uint64_t state[4];
};

void sim_random_init(struct sim_random *random, uint64_t seed, uint64_t stream);
uint64_t sim_random_next(struct sim_random *random);
/* In [0, 1). */
double sim_random_unit(struct sim_random *random);
bool sim_random_chance(struct sim_random *random, double probability);
/* In [least, most]. */
int64_t sim_random_between(struct sim_random *random, int64_t least, int64_t most);
/* Exponentially distributed, rounded down. */
int64_t sim_random_exponential(struct sim_random *random, int64_t mean);
void sim_random_fill(struct sim_random *random, void *buf, size_t len);

#endif
