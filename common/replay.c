/* SPDX-License-Identifier: GPL-2.0-or-later */
/* replay.c - see replay.h. */
#include "common/replay.h"

#include <string.h>

static uint64_t *word_of(struct replay *window, uint64_t counter)
{
    return &window->words[counter % REPLAY_BITS / 64];
}

static uint64_t bit_of(uint64_t counter)
{
    return UINT64_C(1) << (counter % 64);
}

void replay_init(struct replay *window, uint64_t used)
{
    window->largest = used;
    memset(window->words, 0xff, sizeof window->words);
}

/* Moves the window up to `counter`: the bits it newly covers held older counters, and must forget them. */
static void advance(struct replay *window, uint64_t counter)
{
    if (counter - window->largest >= REPLAY_BITS)
        memset(window->words, 0, sizeof window->words);
    else
        for (uint64_t c = window->largest + 1; c < counter; c++)
            *word_of(window, c) &= ~bit_of(c);
    window->largest = counter;
}

bool replay_accept(struct replay *window, uint64_t counter)
{
    if (counter == 0)
        return false;
    if (counter > window->largest)
        advance(window, counter);
    else if (window->largest - counter >= REPLAY_BITS || (*word_of(window, counter) & bit_of(counter)))
        return false;
    *word_of(window, counter) |= bit_of(counter);
    return true;
}
