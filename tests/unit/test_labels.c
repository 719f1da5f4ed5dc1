/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_labels.c - the wall time of an instant: fixed by its own run, never backwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "receiver/judge/labels.h"

static struct instant at(int64_t second)
{
    return (struct instant){second * NS_PER_S};
}

static struct wall wall_at(int64_t second)
{
    return (struct wall){second * NS_PER_S};
}

static void test_runs(void **state)
{
    (void)state;
    static struct labels labels;
    assert_int_equal(labels_second(&labels, at(7)), 7);
    labels_begin(&labels, at(100), wall_at(1000));
    assert_int_equal(labels_second(&labels, at(90)), 990); /* before the first run: its offset */
    assert_int_equal(labels_second(&labels, at(150)), 1050);
    labels_begin(&labels, at(200), wall_at(1500));           /* the clock was set forward */
    assert_int_equal(labels_second(&labels, at(150)), 1050); /* an old instant stays where it was */
    assert_int_equal(labels_second(&labels, at(199)), 1099);
    assert_int_equal(labels_second(&labels, at(200)), 1500);
    labels_begin(&labels, at(300), wall_at(1200)); /* set back: not used */
    assert_int_equal(labels_second(&labels, at(300)), 1600);
    assert_int_equal(labels_second(&labels, at(310)), 1610);
}

static void test_fractions(void **state)
{
    (void)state;
    assert_int_equal(wall_seconds((struct wall){NS_PER_S - 1}), 0);
    assert_int_equal(wall_seconds((struct wall){-1}), -1);
    assert_int_equal(wall_seconds((struct wall){-NS_PER_S}), -1);
    assert_int_equal(wall_seconds((struct wall){-NS_PER_S - 1}), -2);
}

/* Whatever the wall clock does at each start, and however many starts: labels go forward. */
static void test_never_backwards(void **state)
{
    (void)state;
    uint64_t seed = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    static struct labels labels;
    int64_t t = 0;
    for (int run = 0; run < 2 * LABELS_MAX; run++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        t += 1 + (int64_t)(seed >> 40) % 100;
        labels_begin(&labels, at(t), wall_at(100000 + t + (int64_t)(seed >> 33) % 1000 - 500));
        struct wall before = labels_of(&labels, at(-10));
        for (int64_t i = -9; run % 64 == 0 && i < t + 200; i++) {
            struct wall now = labels_of(&labels, at(i));
            assert_true(now.ns >= before.ns);
            before = now;
        }
    }
    assert_int_equal(labels.count, LABELS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_runs), cmocka_unit_test(test_fractions),
                                       cmocka_unit_test(test_never_backwards)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
