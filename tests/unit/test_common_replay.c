/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_common_replay.c - counters in the order they arrive, and the answer to each. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/replay.h"

#define LIMIT ((uint64_t)REPLAY_BITS)

struct row {
    uint64_t counter;
    bool accepted;
};

static void rows_check(uint64_t used, const struct row *rows, size_t count)
{
    struct replay window;
    replay_init(&window, used);
    for (size_t i = 0; i < count; i++)
        if (replay_accept(&window, rows[i].counter) != rows[i].accepted)
            fail_msg("row %zu, counter %llu: should be %s", i, (unsigned long long)rows[i].counter,
                     rows[i].accepted ? "accepted" : "refused");
}

#define ROWS_CHECK(used, rows) rows_check(used, rows, sizeof(rows) / sizeof((rows)[0]))

static void test_order(void **state)
{
    static const struct row rows[] = {
        {0, false},
        {1, true},
        {1, false},
        {9, true},
        {8, true},
        {7, true},
        {7, false},
        {LIMIT, true},
        {LIMIT - 1, true},
        {LIMIT - 1, false},
        {LIMIT - 2, true},
        {2, true},
        {2, false},
        {1, false},
        {LIMIT + 16, true},
        {3, false},
        {LIMIT + 16, false},
        {LIMIT * 4, true},
        {LIMIT * 4 - (LIMIT - 1), true},
        {10, false},
        {LIMIT * 4 - LIMIT, false},
        {LIMIT * 4 - (LIMIT + 1), false},
        {LIMIT * 4 - (LIMIT - 2), true},
        {LIMIT * 4 + 1 - LIMIT, false},
        {0, false},
        {UINT64_MAX, true},
        {UINT64_MAX - 1, true},
        {UINT64_MAX, false},
        {UINT64_MAX - 1, false},
        {UINT64_MAX - 2, true},
        {UINT64_MAX - (LIMIT - 1), true},
        {UINT64_MAX - LIMIT, false},
        {0, false},
        {1, false},
    };
    (void)state;
    ROWS_CHECK(0, rows);
}

/* A session that becomes current with counter n: all up to n are used, all after it are fresh. */
static void test_used(void **state)
{
    static const struct row rows[] = {
        {5000, false}, {4999, false}, {4000, false}, {1, false},
        {5001, true},  {5000, false}, {5003, true},  {5002, true},
    };
    static const struct row last[] = {{UINT64_MAX, false}, {UINT64_MAX - 5, false}, {1, false}};
    (void)state;
    ROWS_CHECK(5000, rows);
    ROWS_CHECK(UINT64_MAX, last);
}

static void test_downwards(void **state)
{
    struct replay window;
    (void)state;
    replay_init(&window, 0);
    assert_true(replay_accept(&window, LIMIT + 1));
    for (uint64_t counter = LIMIT; counter >= 2; counter--)
        assert_true(replay_accept(&window, counter));
    assert_false(replay_accept(&window, 1)); /* 1024 behind */
    for (uint64_t counter = 1; counter <= LIMIT + 1; counter++)
        assert_false(replay_accept(&window, counter));
}

/* Against a list of everything accepted so far: the window is that list, only smaller. */
static void test_random(void **state)
{
    enum { SPAN = 20000 };
    static bool seen[SPAN + 1];
    struct replay window;
    uint64_t largest = 0;
    unsigned seed = (unsigned)time(NULL);
    const char *given = getenv("TEST_SEED");
    (void)state;
    if (given)
        seed = (unsigned)strtoul(given, NULL, 10);
    print_message("TEST_SEED=%u\n", seed);
    srandom(seed);
    memset(seen, 0, sizeof seen);
    replay_init(&window, 0);
    for (int i = 0; i < 200000; i++) {
        uint64_t back = (uint64_t)random() % 1300, ahead = (uint64_t)random() % (random() % 100 ? 3 : 1500);
        uint64_t counter = random() % 8 ? (largest > back ? largest - back : 0) : largest + ahead;
        if (counter > SPAN)
            break;
        bool fresh = counter > 0 && !seen[counter] && counter + LIMIT > largest;
        assert_int_equal(replay_accept(&window, counter), fresh);
        if (fresh)
            seen[counter] = true;
        if (fresh && counter > largest)
            largest = counter;
    }
    assert_true(largest > LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order), cmocka_unit_test(test_used),
                                       cmocka_unit_test(test_downwards), cmocka_unit_test(test_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
