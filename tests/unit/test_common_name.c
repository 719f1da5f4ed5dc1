/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_common_name.c - what is a host name, what a pattern means, and that the metrics have usable names. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <string.h>

#include "common/metric.h"
#include "common/name.h"

static void test_valid(void **state)
{
    static const struct {
        const char *name;
        bool valid;
    } rows[] = {
        {"a", true},         {"0", true},     {"web1.example.net", true},
        {"a_b-c.d", true},   {"a.", true},    {"a-", true},
        {"", false},         {".a", false},   {"-a", false},
        {"_a", false},       {"a..b", false}, {"..", false},
        {"a/b", false},      {"A", false},    {"aB", false},
        {"a b", false},      {"a%s", false},  {"a\n", false},
        {"\xc3\xa4", false}, {"a:b", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (name_is_valid(rows[i].name, strlen(rows[i].name)) != rows[i].valid)
            fail_msg("\"%s\" should be %s", rows[i].name, rows[i].valid ? "valid" : "refused");
}

static void test_lengths(void **state)
{
    char name[NAME_LEN_MAX + 1];
    memset(name, 'x', sizeof name);
    (void)state;
    assert_true(name_is_valid(name, NAME_LEN_MAX));
    assert_false(name_is_valid(name, NAME_LEN_MAX + 1));
    assert_false(name_is_valid("a\0b", 3));
    assert_true(name_is_valid("ab/", 2)); /* what stands behind is not looked at */
}

static void test_patterns(void **state)
{
    static const struct {
        const char *pattern;
        const char *name;
        bool matches;
    } rows[] = {
        {"web1", "web1", true},   {"web1", "web12", false}, {"web*", "web12", true},    {"web?", "web1", true},
        {"web?", "web12", false}, {"*", "a.b", true},       {"*.net", "a.b.net", true}, {"[a-c]*", "b1", true},
        {"[a-c]*", "d1", false},  {"eb1", "web1", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(name_matches(rows[i].pattern, rows[i].name), rows[i].matches);
}

/* The names are data source names of librrd: at most 19 of [a-z0-9_], and each but once. */
static void test_metric_names(void **state)
{
    (void)state;
    for (int i = 0; i < METRIC_COUNT; i++) {
        const char *name = metric_catalogue[i].name;
        assert_in_range(strlen(name), 1, 19);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(name));
        assert_int_equal(metric_find(name), i);
    }
    assert_int_equal(metric_find("no_such_metric"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_valid), cmocka_unit_test(test_lengths),
                                       cmocka_unit_test(test_patterns), cmocka_unit_test(test_metric_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
