/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_months.c - months of a time zone, and which zones there are.
 *
 * The instants are those that `date -d 'TZ="Europe/Berlin" 2026-03-01' +%s` and the like print. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "receiver/record/calendar.h"

static void use(const char *zone)
{
    char name[CALENDAR_ZONE_MAX];
    struct error error = {""};
    assert_int_equal(calendar_use_zone(zone, name, &error), 0);
    assert_string_equal(name, zone);
}

static void test_begins(void **state)
{
    (void)state;
    static const struct {
        const char *zone;
        int year, month;
        int64_t begin;
    } rows[] = {
        {"Europe/Berlin", 2026, 3, 1772319600},
        {"Europe/Berlin", 2026, 4, 1774994400},
        {"Europe/Berlin", 2026, 10, 1790805600},
        {"Europe/Berlin", 2026, 11, 1793487600},
        {"Europe/Berlin", 2026, 12, 1796079600},
        {"Europe/Berlin", 2027, 1, 1798758000},
        {"UTC", 2024, 2, 1706745600},
        {"UTC", 2024, 3, 1709251200},
        {"America/New_York", 2026, 11, 1793505600},
        {"America/New_York", 2026, 12, 1796101200},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        use(rows[i].zone);
        int month = 12 * rows[i].year + rows[i].month - 1;
        assert_int_equal(calendar_month_begin(month), rows[i].begin);
        assert_int_equal(calendar_month_of(rows[i].begin), month);
        assert_int_equal(calendar_month_of(rows[i].begin - 1), month - 1);
    }
}

static void test_texts_and_limits(void **state)
{
    (void)state;
    char text[CALENDAR_MONTH_MAX];
    use("UTC");
    calendar_month_format(text, calendar_month_of(1772319600));
    assert_string_equal(text, "2026-02");
    calendar_month_format(text, calendar_month_of(1798761600));
    assert_string_equal(text, "2027-01");
    /* What a damaged log may hold. */
    calendar_month_format(text, calendar_month_of(INT64_MIN));
    assert_string_equal(text, "1970-01");
    calendar_month_format(text, calendar_month_of(INT64_MAX));
    assert_string_equal(text, "9999-12");
}

static void test_zones(void **state)
{
    (void)state;
    assert_true(calendar_knows_zone("UTC"));
    assert_true(calendar_knows_zone("Europe/Berlin"));
    static const char *const bad[] = {"", "Europe", "Europe/Atlantis", "/etc/localtime", "../zoneinfo/UTC", "zone.tab"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(calendar_knows_zone(bad[i]));
    char name[CALENDAR_ZONE_MAX];
    struct error error = {""};
    assert_int_equal(calendar_use_zone("Europe/Atlantis", name, &error), -1);
    assert_string_not_equal(error.text, "");
    (void)setenv("TZ", ":Asia/Tokyo", 1);
    assert_int_equal(calendar_use_zone(NULL, name, &error), 0);
    assert_string_equal(name, "Asia/Tokyo");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begins),
        cmocka_unit_test(test_texts_and_limits),
        cmocka_unit_test(test_zones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
