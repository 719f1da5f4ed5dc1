/* SPDX-License-Identifier: GPL-2.0-or-later */
/* numbers.c - see numbers.h. Bit n % 512 stands for number n, for the 512 numbers up to the newest. */
#include "receiver/judge/numbers.h"

#include <math.h>
#include <string.h>

static bool bit_get(const uint64_t *words, uint32_t number)
{
    return words[number % NUMBERS_BITS / 64] >> (number % 64) & 1;
}

static void bit_set(uint64_t *words, uint32_t number)
{
    words[number % NUMBERS_BITS / 64] |= UINT64_C(1) << (number % 64);
}

static void bit_clear(uint64_t *words, uint32_t number)
{
    words[number % NUMBERS_BITS / 64] &= ~(UINT64_C(1) << (number % 64));
}

static bool in_window(const struct numbers *numbers, uint32_t number)
{
    return number <= numbers->newest && numbers->newest - number < NUMBERS_BITS;
}

void numbers_init(struct numbers *numbers)
{
    memset(numbers, 0, sizeof *numbers);
}

/* Moves the window up to `number`: the numbers skipped were not heard. */
static void advance(struct numbers *numbers, uint32_t number)
{
    if (number - numbers->newest >= NUMBERS_BITS) {
        memset(numbers->heard, 0, sizeof numbers->heard);
        memset(numbers->stored, 0, sizeof numbers->stored);
    } else {
        for (uint32_t step = number - numbers->newest; step > 0; step--) { /* counted: the largest number has no next */
            bit_clear(numbers->heard, numbers->newest + step);
            bit_clear(numbers->stored, numbers->newest + step);
        }
    }
    numbers->newest = number;
}

bool numbers_is_known(const struct numbers *numbers, uint32_t number)
{
    return number <= numbers->newest && (!in_window(numbers, number) || bit_get(numbers->heard, number));
}

bool numbers_hear(struct numbers *numbers, uint32_t number)
{
    if (numbers_is_known(numbers, number))
        return false;
    if (number > numbers->newest)
        advance(numbers, number);
    if (numbers->oldest == 0 || number < numbers->oldest)
        numbers->oldest = number;
    bit_set(numbers->heard, number);
    return true;
}

void numbers_store(struct numbers *numbers, uint32_t number)
{
    if (in_window(numbers, number))
        bit_set(numbers->stored, number);
}

bool numbers_is_unstored(const struct numbers *numbers, uint32_t number)
{
    return in_window(numbers, number) && bit_get(numbers->heard, number) && !bit_get(numbers->stored, number);
}

void numbers_store_all(struct numbers *numbers)
{
    memcpy(numbers->stored, numbers->heard, sizeof numbers->stored);
}

uint32_t numbers_safe(const struct numbers *numbers, uint32_t oldest_kept)
{
    if (!in_window(numbers, oldest_kept) || !bit_get(numbers->stored, oldest_kept))
        return 0;
    uint32_t safe = oldest_kept;
    while (safe < numbers->newest && bit_get(numbers->stored, safe + 1))
        safe++;
    return safe;
}

double numbers_loss(const struct numbers *numbers, uint32_t span)
{
    uint32_t known = numbers->newest - numbers->oldest + 1;
    if (numbers->newest == 0 || known < 2)
        return NAN;
    if (span > NUMBERS_BITS)
        span = NUMBERS_BITS;
    if (span > known)
        span = known;
    uint32_t lost = 0;
    for (uint32_t i = 0; i < span; i++)
        lost += !bit_get(numbers->heard, numbers->newest - i);
    return (double)lost / span;
}

void numbers_visit(struct codec *codec, struct numbers *numbers)
{
    codec_u32(codec, &numbers->newest);
    codec_u32(codec, &numbers->oldest);
    for (unsigned i = 0; i < NUMBERS_BITS / 64; i++)
        codec_u64(codec, &numbers->heard[i]);
    if (codec_is_reading(codec))
        numbers_store_all(numbers);
}
