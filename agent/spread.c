/* SPDX-License-Identifier: GPL-2.0-or-later */
/* spread.c - see spread.h. */
#include "agent/spread.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "agent/agent.h"
#include "common/name.h"

/* No secret: it only keeps this use of the hash apart from others. */
#define SPREAD_KEY "twobeat spread 1"

void spread_weigh(uint8_t weight[SPREAD_WEIGHT_LEN], const char *host_name, const char *receiver)
{
    crypto_generichash_state state;
    size_t len = strlen(host_name);
    assert(len <= NAME_LEN_MAX);
    uint8_t name_len = (uint8_t)len; /* so that no name and receiver run into each other */
    (void)crypto_generichash_init(&state, (const uint8_t *)SPREAD_KEY, sizeof SPREAD_KEY - 1, SPREAD_WEIGHT_LEN);
    (void)crypto_generichash_update(&state, &name_len, 1);
    (void)crypto_generichash_update(&state, (const uint8_t *)host_name, len);
    (void)crypto_generichash_update(&state, (const uint8_t *)receiver, strlen(receiver));
    (void)crypto_generichash_final(&state, weight, SPREAD_WEIGHT_LEN);
}

size_t spread_choose(size_t *chosen, const char *host_name, const char *const *receivers, size_t count, size_t wanted)
{
    uint8_t weights[AGENT_RECEIVER_MAX][SPREAD_WEIGHT_LEN];
    size_t chosen_count = 0;
    assert(count <= AGENT_RECEIVER_MAX);
    for (size_t i = 0; i < count; i++)
        spread_weigh(weights[i], host_name, receivers[i]);
    for (size_t i = 0; i < count; i++) {
        size_t better = 0;
        for (size_t k = 0; k < count; k++)
            better += memcmp(weights[k], weights[i], SPREAD_WEIGHT_LEN) > 0;
        if (better < wanted)
            chosen[chosen_count++] = i;
    }
    return chosen_count;
}
