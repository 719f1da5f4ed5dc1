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

#define EPOCH INT64_C(1700000000)

static struct wall wall_at(int64_t second)
{
    return (struct wall){(EPOCH + second) * NS_PER_S};
}

static int64_t label(const struct labels *labels, int64_t second)
{
    return labels_second(labels, at(second)) - EPOCH;
}

static void test_runs(void **state)
{
    (void)state;
    static struct labels labels;
    assert_int_equal(labels_second(&labels, at(7)), 7);
    assert_int_equal(labels_start(&labels, at(100), wall_at(1000)), LABELS_CHANGED);
    assert_int_equal(label(&labels, 90), 990); /* before the first run: its offset */
    assert_int_equal(label(&labels, 150), 1050);
    assert_int_equal(labels_start(&labels, at(160), wall_at(1060)), LABELS_SAME);
    assert_int_equal(labels_start(&labels, at(200), wall_at(1500)), LABELS_FORWARD); /* set forward meanwhile */
    assert_int_equal(label(&labels, 150), 1050); /* an old instant stays where it was */
    assert_int_equal(label(&labels, 200), 1100); /* it jumps right after that */
    assert_int_equal(label(&labels, 201), 1501);
    /* Set back: they stand still until the clock has passed them. */
    assert_int_equal(labels_start(&labels, at(300), wall_at(1200)), LABELS_CHANGED);
    assert_int_equal(label(&labels, 300), 1600);
    assert_int_equal(label(&labels, 699), 1600);
    assert_int_equal(label(&labels, 710), 1610);
}

static void test_set_while_running(void **state)
{
    (void)state;
    static struct labels labels;
    (void)labels_start(&labels, at(0), wall_at(0));
    assert_int_equal(labels_look(&labels, at(10), (struct wall){wall_at(10).ns + NS_PER_S / 3}), LABELS_SAME);
    assert_int_equal(labels_look(&labels, at(100), wall_at(3700)), LABELS_FORWARD);
    assert_int_equal(label(&labels, 100), 100);
    assert_int_equal(label(&labels, 101), 3701);
    assert_int_equal(labels_look(&labels, at(200), wall_at(3800)), LABELS_SAME);
    /* An hour back: 1 % slower, until after a hundred hours the clock has caught up. */
    assert_int_equal(labels_look(&labels, at(300), wall_at(300)), LABELS_CHANGED);
    assert_int_equal(label(&labels, 300), 3900);
    assert_int_equal(label(&labels, 1300), 3900 + 990);
    assert_int_equal(labels_look(&labels, at(1300), wall_at(1300)), LABELS_SAME);
    assert_int_equal(label(&labels, 300 + 360000), 360300);
    assert_int_equal(label(&labels, 400000), 400000);
    /* Set right again before that: it lies ahead of the labels by less than an hour, and they jump there. */
    assert_int_equal(labels_look(&labels, at(2300), wall_at(5900)), LABELS_FORWARD);
    assert_int_equal(label(&labels, 2300), 3900 + 1980);
    assert_int_equal(label(&labels, 2301), 5901);
    assert_int_equal(labels_instant(&labels, wall_at(6000)).ns, at(2400).ns);
}

/* A clock that is slewed is followed, however far it goes: nothing is left out. */
static void test_slewed(void **state)
{
    (void)state;
    static struct labels labels;
    (void)labels_start(&labels, at(0), wall_at(0));
    int64_t ahead_ns = 0;
    for (int second = 1; second <= 200; second++) {
        ahead_ns += second <= 100 ? NS_PER_S / 5 : -NS_PER_S / 5;
        struct wall wall = {wall_at(second).ns + ahead_ns};
        assert_int_not_equal(labels_look(&labels, at(second), wall), LABELS_FORWARD);
        int64_t off_ns = wall.ns - labels_of(&labels, at(second)).ns;
        if (second <= 100)
            assert_in_range(off_ns + NS_PER_S, 0, 2 * NS_PER_S);
        assert_true(off_ns <= NS_PER_S);
    }
}

/* A machine that thinks it is 1970 until somebody tells it better. */
static void test_clock_never_set(void **state)
{
    (void)state;
    static struct labels fresh, known;
    struct wall at_1970 = {100 * NS_PER_S};
    (void)labels_start(&fresh, at(0), at_1970);
    assert_int_equal(labels_of(&fresh, at(0)).ns, LABELS_EARLIEST_NS);
    assert_int_equal(labels_of(&fresh, at(5000)).ns, LABELS_EARLIEST_NS);
    (void)labels_start(&known, at(0), wall_at(0));
    assert_int_equal(labels_start(&known, at(100), at_1970), LABELS_CHANGED);
    assert_int_equal(label(&known, 5000), 100);
    assert_int_equal(labels_look(&known, at(200), (struct wall){200 * NS_PER_S}), LABELS_SAME);
    assert_int_equal(labels_look(&known, at(300), (struct wall){5000 * NS_PER_S}), LABELS_CHANGED); /* still wrong */
    assert_int_equal(label(&known, 5000), 100);
    assert_int_equal(labels_look(&known, at(400), wall_at(400)), LABELS_FORWARD);
    assert_int_equal(label(&known, 399), 100);
    assert_int_equal(label(&known, 401), 401);
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
    for (int run = 0; run < 4 * LABELS_MAX; run++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        t += 1 + (int64_t)(seed >> 40) % 100;
        struct wall wall = wall_at(100000 + t + (int64_t)(seed >> 33) % 1000 - 500);
        if (seed >> 63)
            (void)labels_start(&labels, at(t), wall);
        else
            (void)labels_look(&labels, at(t), wall);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_runs),      cmocka_unit_test(test_set_while_running),
                                       cmocka_unit_test(test_slewed),    cmocka_unit_test(test_clock_never_set),
                                       cmocka_unit_test(test_fractions), cmocka_unit_test(test_never_backwards)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
