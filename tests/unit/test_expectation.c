/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_expectation.c - what is learned of a rhythm, and when the next beats must come.
 *
 * The table was computed by hand from the rules in expectation.h; the properties are tried on random rhythms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "receiver/judge/expectation.h"

#define S NS_PER_S
#define MS NS_PER_MS

static struct instant at_ms(int64_t ms)
{
    return (struct instant){ms * MS};
}

struct heard {
    int64_t at_ms;
    uint32_t number;
};

/* One session; the times are milliseconds. */
struct row {
    const char *what;
    int64_t announced_ms;
    struct heard beats[8];
    int64_t interval_ms, margin_ms, lapse1_ms, lapse2_ms;
};

static const struct row rows[] = {
    /* Heard once: nothing announced waits for the longest interval; announced, T/2 beside it. */
    {"once, nothing announced", 0, {{1000, 1}}, 0, 500, 7261000, 7261000},
    {"once, announced", 60000, {{1000, 1}}, 60000, 30000, 91000, 151000},
    {"once, announced, short", 250, {{1000, 1}}, 250, 500, 1750, 2000},
    /* The first gap is the interval; cold margins are T/2. */
    {"twice", 0, {{0, 1}, {60000, 2}}, 60000, 30000, 150000, 210000},
    {"twice, one lost between", 0, {{0, 1}, {120000, 3}}, 60000, 30000, 210000, 270000},
    /* Announced 60, measured 61: T = 60 + 1/2; tmax = 61. */
    {"measured against the announcement", 60000, {{0, 1}, {61000, 2}}, 61000, 30500, 152500, 213500},
    /* Four samples of exactly T: the margin falls to T/8. 1: first; 2..4: errors of 0. */
    {"warm", 0, {{0, 1}, {60000, 2}, {120000, 3}, {180000, 4}, {240000, 5}}, 60000, 7500, 307500, 367500},
    {"warm, 1 s: the floor is half a second",
     0,
     {{0, 1}, {1000, 2}, {2000, 3}, {3000, 4}, {4000, 5}},
     1000,
     500,
     5500,
     6500},
    {"warm, 4000 s: the floor is at most 30 s",
     0,
     {{0, 1}, {4000000, 2}, {8000000, 3}, {12000000, 4}, {16000000, 5}},
     4000000,
     30000,
     20030000,
     24030000},
    /* The fifth beat is 10 s late: e = 10, T = 60 + 10/4 = 62.5; peak = 10, margin 15. */
    {"late beat", 0, {{0, 1}, {60000, 2}, {120000, 3}, {180000, 4}, {250000, 5}}, 62500, 15000, 327500, 390000},
    /* An odd gap of 100 (d = 1): e = 40 is cut to 15, T = 60 + 15/4; late 40, margin capped at T/2 = 31.875. */
    {"odd gap, once", 0, {{0, 1}, {60000, 2}, {120000, 3}, {180000, 4}, {280000, 5}}, 63750, 31875, 375625, 439375},
    /* A gap of 200 is odd, and a second one still is (e = 136.25, tolerance at most T = 63.75) and agrees: T = 200, one
     * sample, cold margin. */
    {"odd gap, twice: adopted",
     0,
     {{0, 1}, {60000, 2}, {120000, 3}, {180000, 4}, {380000, 5}, {580000, 6}},
     200000,
     100000,
     880000,
     1080000},
    /* A catch-up burst is life, but no sample. */
    {"burst", 0, {{0, 1}, {60000, 2}, {60100, 3}}, 60000, 30000, 150100, 210100},
    {"numbers that mean nothing", 0, {{0, 1}, {60000, 2}, {120000, 200000}}, 60000, 30000, 210000, 270000},
    {"overtaken", 0, {{0, 1}, {60000, 3}, {61000, 2}}, 30000, 15000, 105000, 135000},
};

static void test_table(void **state)
{
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        struct expectation e;
        expectation_init(&e);
        for (size_t b = 0; b < 8 && row->beats[b].number; b++)
            (void)expectation_observe(&e, at_ms(row->beats[b].at_ms), 1, row->beats[b].number, row->announced_ms * MS,
                                      false);
        int64_t is[4] = {expectation_interval_ns(&e), expectation_margin_ns(&e), expectation_lapse(&e, 1).ns,
                         expectation_lapse(&e, 2).ns};
        int64_t should[4] = {row->interval_ms * MS, row->margin_ms * MS, row->lapse1_ms * MS, row->lapse2_ms * MS};
        if (memcmp(is, should, sizeof is) == 0)
            continue;
        wrong++;
        print_error("%s: interval %.1f margin %.1f lapse %.1f %.1f, should be %.1f %.1f %.1f %.1f (ms)\n", row->what,
                    (double)is[0] / 1e6, (double)is[1] / 1e6, (double)is[2] / 1e6, (double)is[3] / 1e6,
                    (double)should[0] / 1e6, (double)should[1] / 1e6, (double)should[2] / 1e6, (double)should[3] / 1e6);
    }
    assert_int_equal(wrong, 0);
}

/* A new session keeps the interval as a prior, and nothing else. */
static void test_new_session(void **state)
{
    (void)state;
    struct expectation e;
    expectation_init(&e);
    for (uint32_t n = 1; n <= 10; n++)
        assert_true(expectation_observe(&e, at_ms(n * 60000), 1, n, 0, false));
    assert_true(expectation_observe(&e, at_ms(700000), 2, 1, 0, false));
    assert_int_equal(expectation_interval_ns(&e), 60 * S);
    assert_int_equal(expectation_lapse(&e, 1).ns, (700 + 660) * S); /* two beats of a known rhythm, at least 11 min */
    assert_int_equal(expectation_lapse(&e, 2).ns, (700 + 660) * S);
    assert_true(expectation_observe(&e, at_ms(760000), 2, 2, 0, false));
    assert_int_equal(expectation_lapse(&e, 1).ns, (760 + 60 + 30) * S);
    /* Announced, it is what was announced. */
    assert_true(expectation_observe(&e, at_ms(800000), 3, 1, 10 * S, false));
    assert_int_equal(expectation_lapse(&e, 1).ns, (800 + 10 + 5) * S);
    /* A long known interval waits longer than the 11 minutes. */
    expectation_init(&e);
    assert_true(expectation_observe(&e, at_ms(0), 1, 1, 4000 * S, false));
    assert_true(expectation_observe(&e, at_ms(1000), 2, 1, 0, false));
    assert_int_equal(expectation_lapse(&e, 2).ns, (1 + 2 * 4000 + 2000) * S);
}

/* A gap that spanned a verdict teaches nothing; a second one that agrees is an interval that really changed. */
static void test_across_a_verdict(void **state)
{
    (void)state;
    struct expectation e;
    expectation_init(&e);
    for (uint32_t n = 1; n <= 10; n++)
        assert_true(expectation_observe(&e, at_ms(n * 60000), 1, n, 0, false));
    assert_true(expectation_observe(&e, at_ms(600000 + 900000), 1, 11, 0, true));
    assert_int_equal(e.interval_ns, 60 * S);
    assert_int_equal(e.peak_ns, 0);
    assert_true(expectation_observe(&e, at_ms(1560000), 1, 12, 0, false));
    assert_int_equal(e.interval_ns, 60 * S);
    assert_true(expectation_observe(&e, at_ms(1560000 + 900000), 1, 13, 0, true));
    assert_true(expectation_observe(&e, at_ms(1560000 + 1900000), 1, 14, 0, true)); /* 900 and 1000 agree */
    assert_int_equal(e.interval_ns, 950 * S);
}

static uint64_t seed;

static int64_t draw(int64_t low, int64_t high)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return low + (int64_t)((seed >> 16) % (uint64_t)(high - low + 1));
}

static void check_bounds(const struct expectation *e)
{
    int64_t interval_ns = expectation_interval_ns(e), margin_ns = expectation_margin_ns(e);
    int64_t low_ns = interval_ns / 8 < 30 * S ? interval_ns / 8 : 30 * S;
    low_ns = low_ns > 500 * MS ? low_ns : 500 * MS;
    int64_t high_ns = interval_ns / 2 > low_ns ? interval_ns / 2 : low_ns;
    assert_true(margin_ns >= low_ns && margin_ns <= high_ns);
    assert_true(expectation_lapse(e, 1).ns > e->last.ns);
    assert_true(expectation_lapse(e, 2).ns >= expectation_lapse(e, 1).ns);
    assert_int_equal(expectation_lapse(e, 2).ns - e->last.ns, expectation_grace_ns(e));
    assert_true(e->peak_ns >= 0);
    if (e->samples > 0)
        assert_true(interval_ns >= 125 * MS && interval_ns <= 9000 * S);
}

/* Random beats, orderly or not: the margin stays within its bounds, and the deadlines in order. */
static void test_bounds(void **state)
{
    (void)state;
    for (int run = 0; run < 2000; run++) {
        struct expectation e;
        expectation_init(&e);
        int64_t t = draw(0, 1000000), interval_ms = draw(250, 4500000);
        uint64_t session = 1;
        uint32_t number = 0;
        for (int i = 0; i < 60; i++) {
            int64_t lost = draw(0, 9) < 2 ? draw(1, 5) : 0;
            number += (uint32_t)(1 + lost);
            t += (1 + lost) * interval_ms + draw(-interval_ms / 3, interval_ms);
            if (draw(0, 40) == 0)
                interval_ms = draw(250, 4500000);
            if (draw(0, 30) == 0) {
                session++;
                number = (uint32_t)draw(1, 10);
            }
            if (draw(0, 30) == 0)
                number += (uint32_t)draw(1, 4000000000);
            (void)expectation_observe(&e, at_ms(t), session, number, draw(0, 3) ? 0 : interval_ms * MS,
                                      draw(0, 5) == 0);
            check_bounds(&e);
        }
    }
}

/* Whatever is lost, the interval stays exact. */
static void test_loss_bends_nothing(void **state)
{
    (void)state;
    for (int run = 0; run < 500; run++) {
        struct expectation e;
        expectation_init(&e);
        int64_t interval_ms = draw(1000, 600000);
        assert_true(expectation_observe(&e, at_ms(0), 1, 1, 0, false));
        for (uint32_t n = 2; n < 200; n++) {
            if (draw(0, 9) < 5 && n > 2)
                continue;
            assert_true(expectation_observe(&e, at_ms((n - 1) * interval_ms), 1, n, 0, false));
            assert_int_equal(e.interval_ns, interval_ms * MS);
            assert_int_equal(e.peak_ns, 0);
        }
    }
}

/* The ends of the number lines: no overflow (the undefined-behaviour sanitizer looks on), no nonsense. */
static void test_extremes(void **state)
{
    (void)state;
    struct expectation e;
    static const int64_t times[] = {-(INT64_C(1) << 62), -1, 0, 1, (INT64_C(1) << 62) - 1};
    static const uint32_t numbers[] = {1, 2, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
    for (size_t t = 0; t < 5; t++)
        for (size_t u = 0; u < 5; u++)
            for (size_t n = 0; n < 6; n++)
                for (size_t m = 0; m < 6; m++) {
                    expectation_init(&e);
                    assert_true(expectation_observe(&e, (struct instant){times[t]}, 1, numbers[n],
                                                    EXPECTATION_ANNOUNCED_MAX_NS, false));
                    bool newer = expectation_observe(&e, (struct instant){times[u]}, 1, numbers[m], 0, false);
                    assert_int_equal(newer, numbers[m] > numbers[n]);
                    assert_int_equal(e.interval_ns > 0, 1);
                    (void)expectation_lapse(&e, 2);
                }
}

static void test_survives(void **state)
{
    (void)state;
    struct expectation e, back;
    uint8_t bytes[128];
    expectation_init(&e);
    for (uint32_t n = 1; n <= 10; n++)
        (void)expectation_observe(&e, at_ms(n * 60000 + (n == 7 ? 20000 : 0)), 77, n, 60 * S, false);
    struct codec writer = codec_writer(bytes, sizeof bytes);
    expectation_visit(&writer, &e);
    expectation_init(&back);
    struct codec reader = codec_reader(bytes, writer.pos);
    expectation_visit(&reader, &back);
    assert_false(reader.failed);
    assert_memory_equal(&e, &back, sizeof e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_new_session),
        cmocka_unit_test(test_across_a_verdict),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_loss_bends_nothing),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_survives),
    };
    seed = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
