/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_period.c - times as people type them, in zones whose clocks are set by an hour, by half of one, and at midnight. The
 * instants come from `date -d` and the tables of the zones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "receiver/cli/period.h"

struct row {
    const char *zone, *text;
    int64_t at;         /* -1: refused ... */
    const char *reason; /* ... with this in the line */
};

static const struct row rows[] = {
    {"Europe/Berlin", "2027-03-28 01:59:59", 1806195599, NULL},
    {"Europe/Berlin", "2027-03-28 02:00", -1, "skip"},
    {"Europe/Berlin", "2027-03-28 02:59:59", -1, "skip"},
    {"Europe/Berlin", "2027-03-28 03:00", 1806195600, NULL},
    {"Europe/Berlin", "2027-03-28T02:30+01:00", 1806197400, NULL},
    {"Europe/Berlin", "2027-10-31 01:59:59", 1824940799, NULL},
    {"Europe/Berlin", "2027-10-31 02:00", -1, "+02:00 behind it for the first, +01:00 for the second"},
    {"Europe/Berlin", "2027-10-31 02:59:59", -1, "twice"},
    {"Europe/Berlin", "2027-10-31 02:30 +02:00", 1824942600, NULL},
    {"Europe/Berlin", "2027-10-31 02:30+01:00", 1824946200, NULL},
    {"Europe/Berlin", "2027-10-31 03:00", 1824948000, NULL},
    {"Europe/Berlin", "2027-10-31", 1824933600, NULL},
    {"Australia/Lord_Howe", "2026-04-05 01:45", -1, "+11:00 behind it for the first, +10:30 for the second"},
    {"Australia/Lord_Howe", "2026-10-04 02:15", -1, "skip"},
    {"Australia/Lord_Howe", "2026-10-04 02:30", 1791041400, NULL},
    {"America/Havana", "2026-03-08", 1772946000, NULL}, /* begins at 1:00 */
    {"America/Havana", "2026-03-08 00:00", -1, "skip"},
    {"America/Havana", "2026-11-01", 1793505600, NULL}, /* the first of two midnights */
    {"America/Havana", "2026-11-01 00:00", -1, "-04:00 behind it for the first, -05:00 for the second"},
    {"America/Havana", "2026-11-01 01:00", 1793512800, NULL},
    {"Europe/Moscow", "2014-10-26 01:30", -1,
     "+04:00 behind it for the first, +03:00 for the second"}, /* no summer time */
    {"UTC", "2027-03-28 02:30", 1806201000, NULL},
    {"Pacific/Kiritimati", "2026-01-01", 1767175200, NULL},
    {"UTC", "1970-01-01", 0, NULL},
};

static void use_zone(const char *zone)
{
    (void)setenv("TZ", zone, 1);
    tzset();
}

static bool has_zones(void)
{
    struct tm parts;
    time_t t = 1806195600;
    use_zone("Europe/Berlin");
    return localtime_r(&t, &parts) && parts.tm_gmtoff == 7200;
}

static void reads_times(void **state)
{
    (void)state;
    struct error error;
    if (!has_zones()) {
        (void)printf("SKIP reads_times: no time zones are installed\n");
        skip();
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t at = -1;
        use_zone(rows[i].zone);
        int rc = period_parse_time(&at, rows[i].text, &error);
        if (rc != (rows[i].reason ? -1 : 0) || (rc == 0 && at != rows[i].at))
            fail_msg("%s %s: %d, %lld, wanted %lld", rows[i].zone, rows[i].text, rc, (long long)at,
                     (long long)rows[i].at);
        if (rc != 0 && !strstr(error.text, rows[i].reason))
            fail_msg("%s %s: %s", rows[i].zone, rows[i].text, error.text);
    }
}

static void reads_months(void **state)
{
    (void)state;
    struct error error;
    struct period period;
    if (!has_zones()) {
        (void)printf("SKIP reads_months: no time zones are installed\n");
        skip();
    }
    assert_int_equal(period_parse_month(&period, "2027-10", &error), 0);
    assert_int_equal(period.to - period.from, 745 * 3600);
    assert_int_equal(period_parse_month(&period, "2026-12", &error), 0);
    assert_int_equal(period.to, 1798758000);
    use_zone("America/Havana");
    assert_int_equal(period_parse_month(&period, "2026-11", &error), 0);
    assert_int_equal(period.from, 1793505600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_times),
        cmocka_unit_test(reads_months),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
