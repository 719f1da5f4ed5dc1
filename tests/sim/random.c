/* SPDX-License-Identifier: GPL-2.0-or-later */
/* random.c - see random.h. */
#include "tests/sim/random.h"

#include <math.h>
#include <string.h>

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

void sim_random_init(struct sim_random *random, uint64_t seed, uint64_t stream)
{
    uint64_t state = seed;
    state = splitmix(&state) ^ (stream * UINT64_C(0xd1342543de82ef95));
    for (int i = 0; i < 4; i++)
        random->state[i] = splitmix(&state);
}

uint64_t sim_random_next(struct sim_random *random)
{
    uint64_t *s = random->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

double sim_random_unit(struct sim_random *random)
{
    return (double)(sim_random_next(random) >> 11) * 0x1p-53;
}

bool sim_random_chance(struct sim_random *random, double probability)
{
    return probability > 0 && sim_random_unit(random) < probability;
}

int64_t sim_random_between(struct sim_random *random, int64_t least, int64_t most)
{
    return least + (int64_t)(sim_random_unit(random) * (double)(most - least + 1));
}

int64_t sim_random_exponential(struct sim_random *random, int64_t mean)
{
    return (int64_t)(-log1p(-sim_random_unit(random)) * (double)mean);
}

void sim_random_fill(struct sim_random *random, void *buf, size_t len)
{
    uint8_t *out = buf;
    while (len > 0) {
        uint64_t value = sim_random_next(random);
        size_t part = len < sizeof value ? len : sizeof value;
        memcpy(out, &value, part);
        out += part;
        len -= part;
    }
}
