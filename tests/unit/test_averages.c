/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_averages.c - beats into 5-minute rows, against rows computed by hand and against the growth of the counters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <math.h>

#include "receiver/record/averages.h"

#define BASE INT64_C(1500000000) /* a period begins here */
#define REACH (120 * NS_PER_S)

static struct wall at_s(double seconds)
{
    return (struct wall){BASE * NS_PER_S + (int64_t)(seconds * 1e9)};
}

/* A beat with one gauge, one percentage and one traffic counter; NaN for everything else. */
static void beat_reach(struct averages *averages, double seconds, double load1, double cpu_user, double net_in,
                       const struct wall *boot, int64_t reach_ns)
{
    double metrics[METRIC_COUNT];
    for (int i = 0; i < METRIC_COUNT; i++)
        metrics[i] = NAN;
    metrics[METRIC_LOAD1] = load1;
    metrics[METRIC_CPU_USER] = cpu_user;
    metrics[METRIC_NET_IN] = net_in;
    assert_int_equal(averages_add(averages, at_s(seconds), metrics, boot, reach_ns), 0);
}

static void beat(struct averages *averages, double seconds, double load1, double cpu_user, double net_in)
{
    beat_reach(averages, seconds, load1, cpu_user, net_in, NULL, REACH);
}

/* Two values that are the same to a float's precision; NaN equals NaN. */
static void assert_value_at(double value, double expected, int line)
{
    bool same = isnan(expected) ? isnan(value) : fabs(value - expected) <= 2e-6 * fabs(expected);
    if (!same)
        fail_msg("line %d: %.9g instead of %.9g", line, value, expected);
}
#define assert_value(value, expected) assert_value_at(value, expected, __LINE__)

#define assert_row(row, end, count, load1, cpu_user, net_in)    \
    do {                                                        \
        assert_int_equal((row).at, BASE + (end));               \
        assert_int_equal((row).periods, count);                 \
        assert_value((row).values[METRIC_LOAD1], load1);        \
        assert_value((row).values[METRIC_CPU_USER], cpu_user);  \
        assert_value((row).values[METRIC_NET_IN], net_in);      \
        assert_value((row).values[METRIC_NET_OUT], NAN);        \
        assert_value((row).values[METRIC_SENSOR_HOTTEST], NAN); \
    } while (0)

static void test_first_beat_has_no_rate(void **state)
{
    (void)state;
    struct averages averages;
    averages_init(&averages);
    beat(&averages, 0, 3, 50, 1000);
    assert_value(averages.latest[METRIC_LOAD1], 3);
    assert_value(averages.latest[METRIC_NET_IN], NAN);
    beat(&averages, 0, 9, 90, 9000);  /* not after the last one */
    beat(&averages, -5, 9, 90, 9000); /* earlier */
    assert_value(averages.latest[METRIC_LOAD1], 3);
    beat(&averages, 10, 4, 500, 2000);
    assert_value(averages.latest[METRIC_LOAD1], 4);
    assert_value(averages.latest[METRIC_NET_IN], 100);
    assert_value(averages.latest[METRIC_CPU_USER], 45);
    assert_int_equal(averages.row_count, 0);
    averages_free(&averages);
}

static void test_weighs_by_time(void **state)
{
    (void)state;
    struct averages averages;
    averages_init(&averages);
    for (int i = 0; i <= 5; i++)
        beat(&averages, 60 * i, i, 1200 * i, 6000 * i);
    assert_int_equal(averages.row_count, 1); /* the beat on the boundary closes its period */
    assert_row(averages.rows[0], 300, 1, (1 + 2 + 3 + 4 + 5) / 5.0, 20, 100);
    averages_free(&averages);
}

static void test_splits_at_the_boundary(void **state)
{
    (void)state;
    struct averages averages;
    averages_init(&averages);
    beat_reach(&averages, 100, 1, 0, 0, NULL, 400 * NS_PER_S);
    beat_reach(&averages, 280, 4, 1800, 1800, NULL, 400 * NS_PER_S);
    beat_reach(&averages, 320.5, 8, 1800 + 81, 1800 + 4050, NULL, 400 * NS_PER_S);
    assert_int_equal(averages.row_count, 1);
    /* 180 s of the first value and 20 s of the second, 200 s known in all; traffic is bytes / 300. */
    assert_row(averages.rows[0], 300, 1, (4 * 180 + 8 * 20) / 200.0, (10 * 180 + 2 * 20) / 200.0,
               (1800 + 2000) / 300.0);
    beat_reach(&averages, 600, 2, 1800 + 81, 1800 + 4050, NULL, 400 * NS_PER_S);
    assert_int_equal(averages.row_count, 2);
    assert_row(averages.rows[1], 600, 1, (8 * 20.5 + 2 * 279.5) / 300, 2 * 20.5 / 300, 100 * 20.5 / 300);
    averages_free(&averages);
}

static void test_lost_beats_lose_no_byte(void **state)
{
    (void)state;
    struct averages averages;
    averages_init(&averages);
    beat(&averages, 0, 1, 0, 0);
    beat(&averages, 60, 1, 60, 600);
    /* Three beats lost: the gauge speaks for the 120 s before its beat, so 60 + 60 of 300 s are known in the first
     * period: less than half. */
    beat(&averages, 360, 3, 3060, 30600);
    assert_int_equal(averages.row_count, 1);
    assert_row(averages.rows[0], 300, 1, NAN, (60 + 10 * 240) / 300.0, (600 + 100 * 240) / 300.0);
    averages_free(&averages);
}

static void test_half_a_period_is_enough(void **state)
{
    (void)state;
    struct averages averages;
    averages_init(&averages);
    beat(&averages, 150, 1, 0, 0);
    for (int i = 1; i <= 150; i++)
        beat(&averages, 150 + i, 2, i, i);
    assert_row(averages.rows[0], 300, 1, 2, 1, 0.5);
    averages_free(&averages);
    averages_init(&averages);
    beat(&averages, 151, 1, 0, 0);
    beat(&averages, 250, 1, NAN, 10);
    beat(&averages, 300, 1, NAN, 20);
    assert_row(averages.rows[0], 300, 1, NAN, NAN, 20 / 300.0);
    averages_free(&averages);
}

static void test_reboot_counts_from_the_boot(void **state)
{
    (void)state;
    struct averages averages;
    struct wall boot = at_s(100), outside = at_s(900);
    averages_init(&averages);
    beat(&averages, 0, 1, 5000, 5000);
    beat_reach(&averages, 200, 2, 1000, 4000, &boot, 300 * NS_PER_S);
    assert_value(averages.latest[METRIC_NET_IN], 40);
    assert_value(averages.latest[METRIC_CPU_USER], 10);
    beat_reach(&averages, 300, 4, 1000, 4000, NULL, 300 * NS_PER_S);
    /* What was before the boot is unknown; the gauge does not speak for it either. */
    assert_row(averages.rows[0], 300, 1, 3, 5, 4000 / 300.0);
    /* A boot that cannot be: the counters are new, but somewhere in the gap. */
    beat_reach(&averages, 400, 4, 1000, 7000, &outside, 300 * NS_PER_S);
    assert_value(averages.latest[METRIC_NET_IN], 70);
    averages_free(&averages);
}

static void test_counter_going_back_is_unknown(void **state)
{
    (void)state;
    struct averages averages;
    averages_init(&averages);
    beat(&averages, 0, 1, 0, 9000);
    beat(&averages, 100, 1, 1000, 10000);
    beat(&averages, 200, 1, 2000, 500);
    assert_value(averages.latest[METRIC_NET_IN], NAN);
    beat(&averages, 300, 1, NAN, 1500);
    assert_row(averages.rows[0], 300, 1, 1, 10, (1000 + 1000) / 300.0);
    beat(&averages, 400, NAN, 3000, NAN); /* cpu_user is unknown still: the beat before lacks it */
    assert_value(averages.latest[METRIC_CPU_USER], NAN);
    assert_value(averages.latest[METRIC_LOAD1], NAN);
    averages_free(&averages);
}

static void test_limits_values(void **state)
{
    (void)state;
    struct averages averages;
    averages_init(&averages);
    beat(&averages, 0, 1, 0, 0);
    beat(&averages, 10, -3, 1003, 1e40);
    assert_value(averages.latest[METRIC_LOAD1], 0);
    assert_value(averages.latest[METRIC_CPU_USER], 100);
    assert_value(averages.latest[METRIC_NET_IN], NAN);
    beat(&averages, 20, INFINITY, INFINITY, 2e40);
    assert_value(averages.latest[METRIC_LOAD1], NAN);
    assert_value(averages.latest[METRIC_CPU_USER], NAN);
    averages_free(&averages);
}

static void test_long_gap(void **state)
{
    (void)state;
    struct averages averages;
    averages_init(&averages);
    beat(&averages, 0, 1, 0, 0);
    beat(&averages, 200, 5, 2000, 200);
    /* A day without a beat: four rows, gauges only where they speak. */
    double gap = 86400;
    beat_reach(&averages, 200 + gap, 7, 2000 + 20 * gap, 200 + 50 * gap, NULL, 1000 * NS_PER_S);
    assert_int_equal(averages.row_count, 4);
    assert_row(averages.rows[0], 300, 1, NAN, (10 * 200 + 20 * 100) / 300.0, (200 + 5000) / 300.0);
    assert_row(averages.rows[1], 85500, 284, NAN, 20, 50);
    assert_row(averages.rows[2], 85800, 1, 7, 20, 50); /* the gauge speaks from 85600 on */
    assert_row(averages.rows[3], 86400, 2, 7, 20, 50);
    averages_drop_rows(&averages, 3);
    assert_int_equal(averages.row_count, 1);
    assert_int_equal(averages.rows[0].at, BASE + 86400);
    averages_drop_rows(&averages, 1);
    assert_null(averages.rows);
    /* Longer than the record: a clock that was wrong, nothing is known of it. */
    double years = (double)AVERAGES_GAP_MAX_S + 86401;
    beat(&averages, years + 86600, 1, 1e9, 1e12);
    assert_int_equal(averages.row_count, 1);
    assert_row(averages.rows[0], 86700, 1, 7, 20, 10000 / 300.0);
    averages_free(&averages);
}

static void test_gap_of_unknowns_has_no_rows(void **state)
{
    (void)state;
    struct averages averages;
    averages_init(&averages);
    beat(&averages, 10, 1, NAN, NAN);
    beat(&averages, 30010, 1, NAN, NAN);
    assert_int_equal(averages.row_count, 0);
    assert_int_equal(averages.period, BASE + 30000);
    averages_free(&averages);
}

struct total {
    double bytes, known_s;
    int64_t end;
};

static void sum_rows(const struct averages *averages, struct total *total)
{
    for (uint32_t i = 0; i < averages->row_count; i++) {
        const struct averages_row *row = &averages->rows[i];
        assert_true(row->at - (int64_t)row->periods * AVERAGES_PERIOD_S >= total->end);
        total->end = row->at;
        total->bytes += (double)row->values[METRIC_NET_IN] * AVERAGES_PERIOD_S * row->periods;
    }
}

/* Whatever the interval, losses and reboots: all rows together hold the bytes that were counted. */
static void test_totals_are_exact(void **state)
{
    unsigned seed = *(unsigned *)*state;
    static const double intervals[] = {0.25, 1, 7.3, 60, 299.9, 300, 301, 3600};
    for (size_t i = 0; i < sizeof intervals / sizeof *intervals; i++) {
        struct averages averages;
        struct total total = {0};
        double counter = 1e13, grown = 0, seconds = 17.123456789, rebooted = 0;
        averages_init(&averages);
        beat(&averages, seconds, 1, 0, counter);
        for (int n = 0; n < 4000; n++) {
            /* A beat in five is lost, a few times a hundred in a row. */
            double gap = intervals[i] * (rand_r(&seed) % 5 ? 1 : rand_r(&seed) % 40 ? 2 : 100);
            double growth = floor(gap * (rand_r(&seed) % 1000 ? 123456.789 : 1.1e9));
            struct wall boot = at_s(seconds + gap / 2);
            bool reboots = rand_r(&seed) % 500 == 0;
            counter = reboots ? growth : counter + growth;
            rebooted += reboots;
            grown += growth;
            seconds += gap;
            beat_reach(&averages, seconds, 1, n, counter, reboots ? &boot : NULL, (int64_t)(2e9 * intervals[i]));
            assert_true(averages.row_count < 6);
            sum_rows(&averages, &total);
            averages_drop_rows(&averages, averages.row_count);
        }
        double all = total.bytes + averages.bytes[0];
        if (fabs(all / grown - 1) > 1e-7)
            fail_msg("interval %g, %g reboots: %.12g bytes in rows, %.12g counted", intervals[i], rebooted, all, grown);
        averages_free(&averages);
    }
}

static void assert_same(const struct averages *a, const struct averages *b)
{
    assert_int_equal(a->begun, b->begun);
    assert_int_equal(a->last.ns, b->last.ns);
    assert_int_equal(a->period, b->period);
    assert_memory_equal(a->counters, b->counters, sizeof a->counters);
    assert_memory_equal(a->sum, b->sum, sizeof a->sum);
    assert_memory_equal(a->bytes, b->bytes, sizeof a->bytes);
    assert_memory_equal(a->seconds, b->seconds, sizeof a->seconds);
    assert_memory_equal(a->latest, b->latest, sizeof a->latest);
    assert_int_equal(a->row_count, b->row_count);
    for (uint32_t i = 0; i < a->row_count; i++) {
        assert_int_equal(a->rows[i].at, b->rows[i].at);
        assert_int_equal(a->rows[i].periods, b->rows[i].periods);
        assert_memory_equal(a->rows[i].values, b->rows[i].values, sizeof a->rows[i].values);
    }
}

static void make_used(struct averages *averages)
{
    averages_init(averages);
    beat(averages, 10, 1, 0, 0);
    beat(averages, 290, 2, 2000, 20000);
    beat(averages, 5000, 3, 7000, 30000);
    assert_true(averages->row_count == 2);
}

static void test_checkpoint(void **state)
{
    unsigned seed = *(unsigned *)*state;
    struct averages fresh, used, copy;
    uint8_t image[4096];
    averages_init(&fresh);
    make_used(&used);
    for (int i = 0; i < 2; i++) {
        struct averages *source = i ? &used : &fresh;
        struct codec writer = codec_writer(image, sizeof image);
        averages_visit(&writer, source);
        assert_false(writer.failed);
        averages_init(&copy);
        struct codec reader = codec_reader(image, writer.pos);
        averages_visit(&reader, &copy);
        assert_false(reader.failed);
        assert_int_equal(reader.pos, writer.pos);
        assert_same(source, &copy);
        /* Both go on alike. */
        beat(source, 5050, 4, 8000, 40000);
        beat(&copy, 5050, 4, 8000, 40000);
        assert_same(source, &copy);
        averages_free(&copy);
        for (size_t length = 0; length < writer.pos; length++) {
            averages_init(&copy);
            reader = codec_reader(image, length);
            averages_visit(&reader, &copy);
            assert_true(reader.failed);
            averages_free(&copy);
        }
        for (int round = 0; round < 20000; round++) {
            uint8_t broken[sizeof image];
            memcpy(broken, image, writer.pos);
            for (int flip = rand_r(&seed) % 3; flip >= 0; flip--)
                broken[(size_t)rand_r(&seed) % (round % 2 ? 24 : writer.pos)] = (uint8_t)rand_r(&seed);
            averages_init(&copy);
            reader = codec_reader(broken, writer.pos);
            averages_visit(&reader, &copy);
            if (!reader.failed) /* then it must be fit for use */
                beat(&copy, 5050, 4, 8000, 40000);
            averages_free(&copy);
        }
    }
    averages_free(&used);
}

int main(int argc, char **argv)
{
    unsigned seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : (unsigned)time(NULL);
    (void)printf("seed %u\n", seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_beat_has_no_rate),
        cmocka_unit_test(test_weighs_by_time),
        cmocka_unit_test(test_splits_at_the_boundary),
        cmocka_unit_test(test_lost_beats_lose_no_byte),
        cmocka_unit_test(test_half_a_period_is_enough),
        cmocka_unit_test(test_reboot_counts_from_the_boot),
        cmocka_unit_test(test_counter_going_back_is_unknown),
        cmocka_unit_test(test_limits_values),
        cmocka_unit_test(test_long_gap),
        cmocka_unit_test(test_gap_of_unknowns_has_no_rows),
        cmocka_unit_test_prestate(test_totals_are_exact, &seed),
        cmocka_unit_test_prestate(test_checkpoint, &seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
