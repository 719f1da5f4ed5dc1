/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_spread.c - which receivers a host speaks to: evenly, the same for everybody, and with as little moving as can be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/agent.h"
#include "agent/spread.h"

#define HOSTS 10000

static const char *const five[] = {"recv1.example.net:2004", "recv2.example.net:2004", "recv3.example.org:2104",
                                   "192.0.2.7:2004", "[2001:db8::1]:2004"};

static const char *host_name(char name[32], int i)
{
    (void)snprintf(name, 32, "web%d.example.net", i);
    return name;
}

/* A set of receivers as bits of their place in `five`; `order` tells which stand in the list, and where. */
static unsigned choose(const char *host, const size_t *order, size_t count, size_t wanted)
{
    const char *receivers[AGENT_RECEIVER_MAX];
    size_t chosen[AGENT_RECEIVER_MAX];
    unsigned set = 0;
    for (size_t i = 0; i < count; i++)
        receivers[i] = five[order[i]];
    size_t n = spread_choose(chosen, host, receivers, count, wanted);
    assert_int_equal(n, wanted < count ? wanted : count);
    for (size_t i = 0; i < n; i++) {
        assert_true(i == 0 || chosen[i] > chosen[i - 1]);
        set |= 1U << order[chosen[i]];
    }
    return set;
}

static const size_t in_order[] = {0, 1, 2, 3, 4};

/* The vector of PROTOCOL.md, which tests/lib/protocol.py computes as well. */
static void test_known_answers(void **state)
{
    static const struct {
        const char *receiver, *weight;
    } rows[] = {{"recv1.example.net:2004", "bc52f7502ddc9f5a63ecb37ca53d7751"},
                {"recv2.example.net:2004", "0cafedf57c0f627fba4a3c9f0df0e72a"},
                {"[2001:db8::1]:2004", "c5c2cd8cf0bec3e7f43b5291858bc7a9"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t weight[SPREAD_WEIGHT_LEN];
        char text[2 * SPREAD_WEIGHT_LEN + 1];
        spread_weigh(weight, "web1.example.net", rows[i].receiver);
        for (size_t k = 0; k < sizeof weight; k++)
            (void)snprintf(text + 2 * k, 3, "%02x", weight[k]);
        assert_string_equal(text, rows[i].weight);
    }
}

/* Chi-square of 5 receivers: 18.5 is exceeded by chance once in a thousand times; this is no chance, but fixed. */
static void test_even(void **state)
{
    (void)state;
    for (size_t wanted = 1; wanted < 5; wanted++) {
        char name[32];
        unsigned heard[5] = {0};
        double chi_square = 0, expected = HOSTS * (double)wanted / 5;
        for (int i = 0; i < HOSTS; i++) {
            unsigned set = choose(host_name(name, i), in_order, 5, wanted);
            for (size_t k = 0; k < 5; k++)
                heard[k] += set >> k & 1;
        }
        for (size_t k = 0; k < 5; k++)
            chi_square += (heard[k] - expected) * (heard[k] - expected) / expected;
        if (chi_square > 18.5)
            fail_msg("%zu of 5: %u %u %u %u %u: %f", wanted, heard[0], heard[1], heard[2], heard[3], heard[4],
                     chi_square);
    }
}

/* Without one of five, its hosts get one other each, and nobody else moves. Seen the other way round, that is what
 * happens when a fifth one is added to four: it gets two of five hosts. */
static void test_moves_little(void **state)
{
    (void)state;
    for (size_t without = 0; without < 5; without++) {
        char name[32];
        size_t order[4], count = 0;
        unsigned moved = 0;
        for (size_t k = 0; k < 5; k++)
            if (k != without)
                order[count++] = k;
        for (int i = 0; i < HOSTS; i++) {
            unsigned before = choose(host_name(name, i), in_order, 5, 2), after = choose(name, order, 4, 2);
            if (before >> without & 1) {
                moved++;
                assert_true((after & before) == (before & ~(1U << without)));
            } else {
                assert_int_equal(after, before);
            }
        }
        assert_in_range(moved, HOSTS * 2 / 5 - 250, HOSTS * 2 / 5 + 250); /* five times what chance makes of it */
    }
}

static void test_any_order(void **state)
{
    static const size_t orders[][5] = {{4, 3, 2, 1, 0}, {1, 2, 3, 4, 0}, {2, 0, 4, 1, 3}};
    (void)state;
    for (int i = 0; i < 500; i++) {
        char name[32];
        unsigned set = choose(host_name(name, i), in_order, 5, 2);
        for (size_t k = 0; k < 3; k++)
            assert_int_equal(choose(name, orders[k], 5, 2), set);
        assert_int_equal(choose(name, in_order, 5, 5), 31);
        assert_int_equal(choose(name, in_order, 5, 16), 31);
        assert_true((choose(name, in_order, 5, 3) & set) == set); /* one more keeps those that there are */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_known_answers), cmocka_unit_test(test_even),
                                       cmocka_unit_test(test_moves_little), cmocka_unit_test(test_any_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
