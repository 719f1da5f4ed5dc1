/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_deadlines.c - the heap gives hosts in the order of their promises, against a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "receiver/judge/deadlines.h"

#define HOSTS 200

static void test_order(void **state)
{
    (void)state;
    struct deadlines d = {0};
    assert_int_equal(deadlines_next(&d).ns, INSTANT_NEVER.ns);
    assert_int_equal(deadlines_reserve(&d, 300), 0);
    deadlines_promise(&d, 7, (struct instant){70});
    deadlines_promise(&d, 300, (struct instant){30});
    deadlines_promise(&d, 1, (struct instant){INT64_MIN});
    deadlines_promise(&d, 7, (struct instant){90}); /* later: the entry stays */
    assert_int_equal(deadlines_take(&d), 1);
    deadlines_promise(&d, 7, (struct instant){20}); /* earlier: it moves */
    assert_int_equal(deadlines_next(&d).ns, 20);
    assert_int_equal(deadlines_take(&d), 7);
    assert_int_equal(deadlines_take(&d), 300);
    assert_int_equal(deadlines_next(&d).ns, INSTANT_NEVER.ns);
    deadlines_free(&d);
}

static void test_against_an_array(void **state)
{
    (void)state;
    uint64_t seed = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    struct deadlines d = {0};
    int64_t promised[HOSTS];
    for (size_t i = 0; i < HOSTS; i++)
        promised[i] = INT64_MAX;
    for (int i = 0; i < 100000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint32_t host = (uint32_t)(seed >> 33) % HOSTS;
        int64_t at = (int64_t)(seed >> 20) % 1000;
        if (seed >> 60 < 12) {
            assert_int_equal(deadlines_reserve(&d, host), 0);
            deadlines_promise(&d, host, (struct instant){at});
            promised[host] = at < promised[host] ? at : promised[host];
        } else if (d.count > 0) {
            promised[deadlines_take(&d)] = INT64_MAX;
        }
        int64_t least = INT64_MAX;
        for (size_t h = 0; h < HOSTS; h++)
            least = promised[h] < least ? promised[h] : least;
        assert_int_equal(deadlines_next(&d).ns, least);
    }
    deadlines_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order), cmocka_unit_test(test_against_an_array)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
