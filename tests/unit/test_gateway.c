/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_gateway.c - tables as Linux 6.1 printed them on machines with and without a way out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "receiver/listen/gateway.h"

#define ROUTES_HEAD "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
#define DEFAULT_BY_192_0_2_1 "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
#define DEFAULT_BY_10_0_0_1 "eth1\t00000000\t0100000A\t0003\t0\t0\t5\t00000000\t0\t0\t0\n"
#define ON_LINK "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
#define NEIGHBOURS_HEAD "IP address       HW type     Flags       HW address            Mask     Device\n"
#define REACHED "192.0.2.1        0x1         0x2         02:fc:00:00:00:05     *        eth0\n"
#define FAILED "192.0.2.1        0x1         0x0         00:00:00:00:00:00     *        eth0\n"
#define ANOTHER_FAILED "192.0.2.12       0x1         0x0         00:00:00:00:00:00     *        eth0\n"

static void test_tables(void **state)
{
    (void)state;
    static const struct {
        const char *routes, *neighbours;
        bool lost;
    } rows[] = {
        {ROUTES_HEAD DEFAULT_BY_192_0_2_1 ON_LINK, NEIGHBOURS_HEAD REACHED, false},
        {ROUTES_HEAD DEFAULT_BY_192_0_2_1 ON_LINK, NEIGHBOURS_HEAD FAILED, true},
        {ROUTES_HEAD DEFAULT_BY_192_0_2_1 ON_LINK, NEIGHBOURS_HEAD ANOTHER_FAILED REACHED, false},
        {ROUTES_HEAD DEFAULT_BY_192_0_2_1, NEIGHBOURS_HEAD, false}, /* nobody needed it lately */
        {ROUTES_HEAD ON_LINK, NEIGHBOURS_HEAD FAILED, false},       /* a neighbour, but no way out */
        {ROUTES_HEAD DEFAULT_BY_192_0_2_1 DEFAULT_BY_10_0_0_1, NEIGHBOURS_HEAD FAILED,
         false}, /* the other one is left */
        {ROUTES_HEAD, NEIGHBOURS_HEAD, false},
        {"", "", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(gateway_is_lost_by(rows[i].routes, rows[i].neighbours), rows[i].lost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tables)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
