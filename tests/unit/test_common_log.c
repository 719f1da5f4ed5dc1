/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_common_log.c - what arrives on standard error, and how complaints back off. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

/* Standard error goes to a pipe while a test runs. */
struct capture {
    int saved;
    int end;
    char text[8192];
};

static int set_up(void **state)
{
    struct capture *capture = test_calloc(1, sizeof *capture);
    int ends[2];
    if (pipe2(ends, O_NONBLOCK) != 0)
        return -1;
    capture->saved = dup(STDERR_FILENO);
    (void)dup2(ends[1], STDERR_FILENO);
    (void)close(ends[1]);
    capture->end = ends[0];
    *state = capture;
    (void)unsetenv("JOURNAL_STREAM");
    log_init("test", LOG_LEVEL_INFO);
    return 0;
}

static int tear_down(void **state)
{
    struct capture *capture = *state;
    (void)dup2(capture->saved, STDERR_FILENO);
    (void)close(capture->saved);
    (void)close(capture->end);
    test_free(capture);
    return 0;
}

/* All that was written since the last call. */
static const char *taken(struct capture *capture)
{
    ssize_t n = read(capture->end, capture->text, sizeof capture->text - 1);
    capture->text[n > 0 ? n : 0] = '\0';
    return capture->text;
}

static void test_lines(void **state)
{
    log_line(LOG_LEVEL_ERROR, "a %d", 1);
    assert_string_equal(taken(*state), "test: a 1\n");
    log_line(LOG_LEVEL_INFO, "b");
    log_line(LOG_LEVEL_DEBUG, "c");
    assert_string_equal(taken(*state), "test: b\n");
    log_init("test", LOG_LEVEL_WARNING);
    log_line(LOG_LEVEL_NOTICE, "d");
    log_line(LOG_LEVEL_WARNING, "e\nforged\x1b[0m\x7f");
    assert_string_equal(taken(*state), "test: e?forged?[0m?\n");
    log_init(NULL, LOG_LEVEL_DEBUG);
    log_line(LOG_LEVEL_DEBUG, "Malm\xc3\xb6");
    assert_string_equal(taken(*state), "Malm\xc3\xb6\n");
}

static void test_long_line(void **state)
{
    char text[5000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_line(LOG_LEVEL_INFO, "%s", text);
    const char *got = taken(*state);
    assert_in_range(strlen(got), 2000, 2100);
    assert_true(strchr(got, '\n') == got + strlen(got) - 1);
}

static void test_journal(void **state)
{
    char name[64];
    struct stat st;
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    (void)snprintf(name, sizeof name, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    assert_int_equal(setenv("JOURNAL_STREAM", name, 1), 0);
    log_init("test", LOG_LEVEL_INFO);
    log_line(LOG_LEVEL_WARNING, "w");
    assert_string_equal(taken(*state), "<4>w\n");
    /* The journal of an ancestor is not ours. */
    (void)snprintf(name, sizeof name, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino + 1);
    assert_int_equal(setenv("JOURNAL_STREAM", name, 1), 0);
    log_init("test", LOG_LEVEL_INFO);
    log_line(LOG_LEVEL_WARNING, "w");
    assert_string_equal(taken(*state), "test: w\n");
}

/* Seconds at which the same trouble is raised, and the line this gives. */
static void test_complaint(void **state)
{
    static const struct {
        int64_t s;
        const char *line;
    } rows[] = {
        {100, "test: disk is full\n"},
        {101, ""},
        {159, ""},
        {160, "test: disk is full (and 2 times more since the last such line)\n"},
        {279, ""},
        {280, "test: disk is full (and 1 times more since the last such line)\n"},
        {520, "test: disk is full\n"},
        {1000, "test: disk is full\n"},
        {1960, "test: disk is full\n"},
        {3880, "test: disk is full\n"}, /* from now on hourly */
        {7479, ""},
        {7480, "test: disk is full (and 1 times more since the last such line)\n"},
        {11079, ""},
        {11080, "test: disk is full (and 1 times more since the last such line)\n"},
    };
    struct complaint complaint = {.active = false};
    complaint_clear(&complaint, "never heard");
    assert_string_equal(taken(*state), "");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        complaint_raise(&complaint, LOG_LEVEL_WARNING, (struct instant){rows[i].s * NS_PER_S}, "%s is full", "disk");
        assert_string_equal(taken(*state), rows[i].line);
    }
    complaint_clear(&complaint, "disk has %s", "room");
    assert_string_equal(taken(*state), "test: disk has room\n");
    complaint_clear(&complaint, "disk has room");
    assert_string_equal(taken(*state), "");
    complaint_raise(&complaint, LOG_LEVEL_WARNING, (struct instant){11081 * NS_PER_S}, "again");
    assert_string_equal(taken(*state), "test: again\n");
    assert_true(complaint.wait_ns == 60 * NS_PER_S);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_lines), TEST(test_long_line), TEST(test_journal),
                                       TEST(test_complaint)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
