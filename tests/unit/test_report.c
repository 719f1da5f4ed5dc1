/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_report.c - uptime, its figure, and outages, over logs made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "receiver/report/outages.h"
#include "receiver/report/uptime.h"

#define LIMIT 10000 /* the receiver was last alive */

/* Up from 1000; down from 2000 (silent), from 2005 on to 2100 known as unreachable; admin 3000..3600; unknown 4000..5000;
 * down for good from 9000. */
static const struct transition lines[] = {
    {.number = 1, .at = 1000, .state = STATE_UP, .earliest = 1000, .latest = 1000},
    {.number = 2, .at = 2000, .state = STATE_DOWN, .cause = CAUSE_SILENT, .earliest = 1990, .latest = 2010},
    {.number = 3,
     .at = 2005,
     .state = STATE_DOWN,
     .cause = CAUSE_UNREACHABLE,
     .earliest = 1990,
     .latest = 2010,
     .restates = 2},
    {.number = 4, .at = 2100, .state = STATE_UP, .earliest = 2099, .latest = 2101},
    {.number = 5, .at = 3000, .state = STATE_ADMIN, .cause = CAUSE_MAINTENANCE, .earliest = 3000, .latest = 3000},
    {.number = 6, .at = 3600, .state = STATE_UP, .earliest = 3600, .latest = 3600},
    {.number = 7, .at = 4000, .state = STATE_UNKNOWN, .cause = CAUSE_RECEIVER_OFF, .earliest = 4000, .latest = 4000},
    {.number = 8, .at = 5000, .state = STATE_UP, .earliest = 5000, .latest = 5000},
    {.number = 9, .at = 9000, .state = STATE_DOWN, .cause = CAUSE_SILENT, .earliest = 8990, .latest = 9010},
};

static int setup(void **state)
{
    struct timeline *timeline = calloc(1, sizeof *timeline);
    *state = timeline;
    for (size_t i = 0; timeline && i < sizeof lines / sizeof lines[0]; i++)
        if (timeline_add(timeline, &lines[i]))
            return -1;
    return timeline ? 0 : -1;
}

static int teardown(void **state)
{
    timeline_free(*state);
    free(*state);
    return 0;
}

static void counts_every_second_of_a_period_once(void **state)
{
    static const struct {
        int64_t from, to;
        struct uptime expected; /* up, down, unreachable, admin, unknown */
    } rows[] = {
        {0, 1000, {0, 0, 0, 0, 1000}}, /* before the first heartbeat */
        {1000, 2000, {1000, 0, 0, 0, 0}},
        {1999, 2001, {1, 1, 0, 0, 0}},
        {2000, 2100, {0, 100, 95, 0, 0}},
        {2900, 3700, {200, 0, 0, 600, 0}},
        {0, 10000, {6300, 1100, 95, 600, 2000}},
        {0, 12000, {6300, 1100, 95, 600, 4000}}, /* the end lies after the last sign of life */
        {11000, 12000, {0, 0, 0, 0, 1000}},      /* wholly after it */
        {LIMIT, LIMIT + 5, {0, 0, 0, 0, 5}},
        {5000, 5000, {0, 0, 0, 0, 0}},
        {5000, 4000, {0, 0, 0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct uptime got;
        uptime_count(*state, rows[i].from, rows[i].to, LIMIT, &got);
        assert_int_equal(got.up, rows[i].expected.up);
        assert_int_equal(got.down, rows[i].expected.down);
        assert_int_equal(got.unreachable, rows[i].expected.unreachable);
        assert_int_equal(got.admin, rows[i].expected.admin);
        assert_int_equal(got.unknown, rows[i].expected.unknown);
    }
}

static void adds_hosts_to_a_fleet(void **state)
{
    struct uptime sum = {1, 2, 1, 3, 4}, one;
    uptime_count(*state, 0, 10000, LIMIT, &one);
    uptime_add(&sum, &one);
    assert_int_equal(sum.up, 6301);
    assert_int_equal(sum.down, 1102);
    assert_int_equal(sum.unreachable, 96);
    assert_int_equal(sum.admin, 603);
    assert_int_equal(sum.unknown, 2004);
}

static void rounds_the_figure_down(void **state)
{
    static const struct {
        int64_t up, down, admin;
        const char *expected;
    } rows[] = {
        {0, 0, 0, "no data"},
        {0, 0, 7, "no data"},
        {0, 1, 0, "0.000000"},
        {1, 0, 0, "100.000000"},
        {1, 2, 0, "33.333333"},
        {2, 1, 0, "66.666666"},
        {1, 99999999, 0, "0.000001"},
        {1, 100000000, 0, "0.000000"},
        {INT64_C(99999999), 1, 0, "99.999999"},
        /* One second in 100,000 hosts x 10 years: never 100. */
        {INT64_C(31536000000000), 1, 0, "99.999999"},
        {INT64_C(31536000000000), 0, 5, "100.000000"},
        {7776000, 3600, 0, "99.953725"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct uptime uptime = {.up = rows[i].up, .down = rows[i].down, .admin = rows[i].admin};
        char text[PERCENT_TEXT_MAX];
        uptime_percent_format(text, uptime_percent(&uptime));
        assert_string_equal(text, rows[i].expected);
    }
}

static void agrees_with_plain_division(void **state)
{
    (void)state;
    for (int64_t up = 0; up < 300; up++)
        for (int64_t down = 0; down < 300; down++) {
            struct uptime uptime = {.up = up, .down = down};
            int64_t expected = up + down ? up * INT64_C(100000000) / (up + down) : PERCENT_NO_DATA;
            assert_int_equal(uptime_percent(&uptime), expected);
        }
}

static void lists_what_touches_the_period(void **state)
{
    static const struct {
        int64_t from, to;
        int64_t starts[6]; /* of the outages found, then 0 */
    } rows[] = {
        {0, 20000, {2000, 2005, 3000, 4000, 9000}},
        {0, 2000, {0}},
        {0, 2001, {2000}},
        {2004, 2006, {2000, 2005}},
        {2005, 2006, {2005}},
        {2100, 3000, {0}},
        {3599, 4000, {3000}},
        {5000, 9000, {0}},
        {9500, 20000, {9000}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct outage outage;
        size_t index = 0, found = 0;
        while (outages_next(*state, rows[i].from, rows[i].to, LIMIT, &index, &outage)) {
            assert_int_equal(outage.from, rows[i].starts[found]);
            found++;
        }
        assert_int_equal(rows[i].starts[found], 0);
    }
}

static void tells_an_outage_with_both_edges(void **state)
{
    struct outage outage;
    size_t index = 0;
    assert_true(outages_next(*state, 2050, 2060, LIMIT, &index, &outage));
    assert_int_equal(outage.number, 2); /* known by the line that told of it first */
    assert_int_equal(outage.state, STATE_DOWN);
    assert_int_equal(outage.cause, CAUSE_UNREACHABLE);
    assert_false(outage.open);
    assert_int_equal(outage.from, 2005);
    assert_int_equal(outage.from_earliest, 1990);
    assert_int_equal(outage.from_latest, 2010);
    assert_int_equal(outage.to, 2100);
    assert_int_equal(outage.to_earliest, 2099);
    assert_int_equal(outage.to_latest, 2101);
    assert_int_equal(outage.seconds, 95);
}

static void an_open_outage_lasts_to_the_last_sign_of_life(void **state)
{
    struct outage outage;
    size_t index = 0;
    assert_true(outages_next(*state, 9500, 9600, LIMIT, &index, &outage));
    assert_true(outage.open);
    assert_int_equal(outage.seconds, LIMIT - 9000);
    assert_false(outages_next(*state, 9500, 9600, LIMIT, &index, &outage));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counts_every_second_of_a_period_once, setup, teardown),
        cmocka_unit_test_setup_teardown(adds_hosts_to_a_fleet, setup, teardown),
        cmocka_unit_test(rounds_the_figure_down),
        cmocka_unit_test(agrees_with_plain_division),
        cmocka_unit_test_setup_teardown(lists_what_touches_the_period, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_an_outage_with_both_edges, setup, teardown),
        cmocka_unit_test_setup_teardown(an_open_outage_lasts_to_the_last_sign_of_life, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
