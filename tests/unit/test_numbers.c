/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_numbers.c - the window over beat numbers, against a model that remembers every number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "receiver/judge/numbers.h"

static void test_window(void **state)
{
    (void)state;
    struct numbers n;
    numbers_init(&n);
    assert_false(numbers_is_known(&n, 1));
    assert_true(numbers_hear(&n, 1));
    assert_false(numbers_hear(&n, 1));
    assert_true(numbers_hear(&n, 3));
    assert_true(numbers_hear(&n, 2)); /* overtaken */
    assert_true(numbers_hear(&n, NUMBERS_BITS + 1));
    assert_true(numbers_is_known(&n, 1)); /* fell out of the window: too old to tell */
    assert_false(numbers_is_known(&n, 4));
    assert_true(numbers_hear(&n, 2 * NUMBERS_BITS + 1));
    assert_true(numbers_is_known(&n, NUMBERS_BITS + 1));
    assert_false(numbers_is_known(&n, NUMBERS_BITS + 2));
}

static void test_largest(void **state)
{
    (void)state;
    struct numbers n;
    numbers_init(&n);
    assert_true(numbers_hear(&n, 0xfffffffe));
    assert_true(numbers_hear(&n, 0xffffffff));
    assert_false(numbers_hear(&n, 0xffffffff));
    assert_true(numbers_is_known(&n, 1));
    numbers_store_all(&n);
    assert_int_equal(numbers_safe(&n, 0xfffffffe), 0xffffffff);
    assert_int_equal(numbers_safe(&n, 0xffffffff), 0xffffffff);
    assert_int_equal(numbers_safe(&n, 0), 0);
    assert_true(numbers_loss(&n, UINT32_MAX) < 0.5);
    numbers_init(&n); /* from the least to the largest, in one step */
    assert_true(numbers_hear(&n, 1));
    assert_true(numbers_hear(&n, 0xffffffff));
    assert_false(numbers_is_known(&n, 0xfffffffe));
    assert_true(numbers_loss(&n, 10) > 0.89);
}

static void test_safe(void **state)
{
    (void)state;
    struct numbers n;
    numbers_init(&n);
    assert_int_equal(numbers_safe(&n, 0), 0);
    assert_int_equal(numbers_safe(&n, 1), 0);
    for (uint32_t i = 1; i <= 5; i++)
        (void)numbers_hear(&n, i);
    assert_int_equal(numbers_safe(&n, 1), 0); /* heard is not stored */
    numbers_store(&n, 1);
    numbers_store(&n, 2);
    numbers_store(&n, 4);
    assert_int_equal(numbers_safe(&n, 1), 2);
    assert_int_equal(numbers_safe(&n, 3), 0);
    assert_int_equal(numbers_safe(&n, 4), 4);
    assert_int_equal(numbers_safe(&n, 6), 0); /* keeps what was not heard yet */
    numbers_store(&n, 9);                     /* outside the window: nothing */
    numbers_store(&n, 3);
    assert_int_equal(numbers_safe(&n, 1), 4);
    (void)numbers_hear(&n, 6);
    assert_int_equal(numbers_safe(&n, 1), 4);
    /* A number that comes up in the place of an old one is not stored by that. */
    for (uint32_t i = 7; i <= NUMBERS_BITS + 2; i++)
        (void)numbers_hear(&n, i);
    assert_int_equal(numbers_safe(&n, NUMBERS_BITS + 1), 0);
    assert_int_equal(numbers_safe(&n, 1), 0); /* too old to tell */
}

static void test_loss(void **state)
{
    (void)state;
    struct numbers n;
    numbers_init(&n);
    assert_true(isnan(numbers_loss(&n, 100)));
    (void)numbers_hear(&n, 11); /* the agent was running before: nothing counts as missed */
    assert_true(isnan(numbers_loss(&n, 100)));
    (void)numbers_hear(&n, 12);
    assert_true(numbers_loss(&n, 100) < 1e-9);
    (void)numbers_hear(&n, 14);
    assert_true(fabs(numbers_loss(&n, 100) - 0.25) < 1e-9);
    assert_true(fabs(numbers_loss(&n, 2) - 0.5) < 1e-9);
}

static void test_against_a_model(void **state)
{
    (void)state;
    uint64_t seed = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int run = 0; run < 200; run++) {
        static uint8_t heard[20000], stored[20000];
        memset(heard, 0, sizeof heard);
        memset(stored, 0, sizeof stored);
        struct numbers n;
        numbers_init(&n);
        uint32_t newest = 0;
        for (int i = 0; i < 400; i++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            uint32_t random = (uint32_t)(seed >> 33);
            uint32_t number = newest + 1 + random % 3;
            if (random % 5 == 0)
                number = 1 + random / 8 % (newest + 1);
            if (random % 97 == 0)
                number = newest + 1 + random / 128 % 800;
            bool known = number <= newest && (newest - number >= NUMBERS_BITS || heard[number]);
            assert_int_equal(numbers_is_known(&n, number), known);
            assert_int_equal(numbers_hear(&n, number), !known);
            if (!known)
                heard[number] = 1;
            if (number > newest)
                newest = number;
            if (random % 3 == 0 && heard[number] && newest - number < NUMBERS_BITS) {
                numbers_store(&n, number);
                stored[number] = 1;
            }
            uint32_t kept = 1 + random / 64 % newest, safe = 0;
            for (uint32_t b = kept; newest - kept < NUMBERS_BITS && b <= newest && stored[b]; b++)
                safe = b;
            assert_int_equal(numbers_safe(&n, kept), safe);
        }
    }
}

static void test_survives(void **state)
{
    (void)state;
    struct numbers n, back;
    uint8_t bytes[128];
    numbers_init(&n);
    (void)numbers_hear(&n, 5);
    (void)numbers_hear(&n, 7);
    struct codec writer = codec_writer(bytes, sizeof bytes);
    numbers_visit(&writer, &n);
    assert_false(writer.failed);
    struct codec reader = codec_reader(bytes, writer.pos);
    numbers_init(&back);
    numbers_visit(&reader, &back);
    assert_true(numbers_is_known(&back, 5) && !numbers_is_known(&back, 6) && numbers_is_known(&back, 7));
    assert_int_equal(numbers_safe(&back, 7), 7); /* what comes back from the database was there */
    assert_int_equal(numbers_safe(&back, 5), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window), cmocka_unit_test(test_largest),         cmocka_unit_test(test_safe),
        cmocka_unit_test(test_loss),   cmocka_unit_test(test_against_a_model), cmocka_unit_test(test_survives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
