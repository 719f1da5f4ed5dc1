/* SPDX-License-Identifier: GPL-2.0-or-later */
/* numbers.h - which beats of one agent start were heard, and which of them are stored for good.
 *
 * The pair (agent start, beat number) identifies a beat, whatever session or transmission brought it. From the stored ones
 * follows what an ack may call safe. A window over the newest 512 numbers: more than an agent keeps. Pure value. */
#ifndef RECEIVER_JUDGE_NUMBERS_H
#define RECEIVER_JUDGE_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/codec.h"

#define NUMBERS_BITS 512

struct numbers {
    uint32_t newest; /* largest number heard; 0: none */
    uint32_t oldest; /* first number heard of this agent start: nothing before it counts as missed */
    uint64_t heard[NUMBERS_BITS / 64];
    uint64_t stored[NUMBERS_BITS / 64];
};

void numbers_init(struct numbers *numbers);

/* Whether a number is known: heard before, or too old to tell. */
bool numbers_is_known(const struct numbers *numbers, uint32_t number);
/* Marks a number as heard. False if it is known. */
bool numbers_hear(struct numbers *numbers, uint32_t number);
/* Marks a number as stored durably; ignored outside the window. */
void numbers_store(struct numbers *numbers, uint32_t number);
/* Whether a number was heard and is not stored yet; false outside the window. */
bool numbers_is_unstored(const struct numbers *numbers, uint32_t number);
/* Marks all that was heard as stored: what comes back from the database was there. */
void numbers_store_all(struct numbers *numbers);

/* The largest number b such that all from `oldest_kept` through b are stored; 0 if there is none. */
uint32_t numbers_safe(const struct numbers *numbers, uint32_t oldest_kept);

/* The share of beats never heard among the last `span` numbers (at most NUMBERS_BITS) up to the newest; NaN while fewer than two
 * are known. */
double numbers_loss(const struct numbers *numbers, uint32_t span);

void numbers_visit(struct codec *codec, struct numbers *numbers);

#endif
