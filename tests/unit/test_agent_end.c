/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_agent_end.c - how a run ends and how the next one learns of it: run_state and going_down, on files of the
 * test. */
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
#include <time.h>
#include <unistd.h>
#include <utmpx.h>

#include "agent/contacts.h"
#include "agent/going_down.h"
#include "agent/run_state.h"

static char dir[] = "/tmp/test_agent_end_XXXXXX";

static const char *in_dir(const char *name)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void write_file(const char *name, const void *bytes, size_t len, mode_t mode)
{
    int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    (void)close(fd);
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    static const char *const names[] = {"run", "run.new", "utmp", "systemctl", "receivers", "receivers.new"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)unlink(in_dir(names[i]));
    return rmdir(dir);
}

static void test_contacts(void **state)
{
    static const char some[] = "0123456789abcdef recv1.example.net:2004\n"
                               "\n0123456789abcdef\n0123456789abcdeg a:1\n123 a:1\n0123456789abcdef :7\n"
                               "00000000000000ff [2001:db8::1]:99\nffffffffffffffff half";
    struct contact contacts[CONTACTS_MAX], again[CONTACTS_MAX];
    struct error error = {""};
    (void)state;
    memset(contacts, 0x11, sizeof contacts);
    assert_int_equal(contacts_load(contacts, dir), 0);
    write_file("receivers", some, sizeof some - 1, 0644);
    assert_int_equal(contacts_load(contacts, dir), 3);
    assert_true(contacts[0].agent_start == 0x0123456789abcdef && contacts[1].agent_start == 0xff);
    assert_string_equal(contacts[1].address.host, "2001:db8::1");
    assert_string_equal(contacts[2].address.port, "2004");

    memset(again, 0x22, sizeof again);
    for (size_t i = 3; i < CONTACTS_MAX; i++) {
        contacts[i] = contacts[0];
        memset(contacts[i].address.host, 'x', AGENT_SETTINGS_HOST_SIZE - 1);
    }
    assert_int_equal(contacts_save(dir, contacts, CONTACTS_MAX, &error), 0);
    assert_int_equal(contacts_load(again, dir), CONTACTS_MAX);
    for (size_t i = 0; i < CONTACTS_MAX; i++) {
        assert_true(again[i].agent_start == contacts[i].agent_start);
        assert_memory_equal(&again[i].address, &contacts[i].address, sizeof again[i].address);
    }
    assert_int_equal(contacts_save(dir, contacts, 0, &error), 0);
    assert_int_equal(contacts_load(again, dir), 0);
    assert_int_equal(contacts_save("/nowhere", contacts, 1, &error), -1);
    assert_non_null(strstr(error.text, "/nowhere"));
}

static void test_run_state(void **state)
{
    struct error error = {""};
    (void)state;
    assert_int_equal(run_state_load(dir), PREVIOUS_UNKNOWN);
    assert_int_equal(run_state_save_running(dir, &error), 0);
    assert_int_equal(run_state_load(dir), PREVIOUS_DIED);
    assert_int_equal(run_state_save_end(dir, BYE_STOPPING, &error), 0);
    assert_int_equal(run_state_load(dir), PREVIOUS_STOPPED);
    assert_int_equal(run_state_save_end(dir, BYE_SHUTDOWN, &error), 0);
    assert_int_equal(run_state_load(dir), PREVIOUS_SHUTDOWN);
    assert_int_equal(access(in_dir("run.new"), F_OK), -1);
}

static void test_run_state_of_others(void **state)
{
    static const char *const texts[] = {"", "\n", "runn", "running along and along and along and along\n",
                                        "stopped?\n"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        write_file("run", texts[i], strlen(texts[i]), 0600);
        if (run_state_load(dir) != PREVIOUS_UNKNOWN)
            fail_msg("\"%s\" was understood", texts[i]);
    }
}

static void test_run_state_without_directory(void **state)
{
    struct error error = {""};
    (void)state;
    assert_int_equal(run_state_load("/nowhere/at/all"), PREVIOUS_UNKNOWN);
    assert_int_equal(run_state_save_running("/nowhere/at/all", &error), -1);
    assert_non_null(strstr(error.text, "/nowhere/at/all"));
}

static void test_run_levels(void **state)
{
    struct {
        short type;
        char level;
        enum bye_reason reason;
    } rows[] = {{RUN_LVL, '0', BYE_SHUTDOWN},
                {RUN_LVL, '6', BYE_SHUTDOWN},
                {RUN_LVL, '5', BYE_STOPPING},
                {RUN_LVL, '1', BYE_STOPPING},
                {BOOT_TIME, '0', BYE_STOPPING}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct utmpx records[2] = {{.ut_type = BOOT_TIME},
                                   {.ut_type = rows[i].type, .ut_pid = 'N' * 256 + rows[i].level}};
        write_file("utmp", records, sizeof records, 0600);
        if (going_down_reason("/nowhere", in_dir("utmp")) != rows[i].reason)
            fail_msg("row %zu", i);
    }
    assert_int_equal(going_down_reason("/nowhere", "/nowhere"), BYE_STOPPING);
}

/* A stand-in for systemctl, found by PATH. */
static enum bye_reason ask_systemctl(const char *script)
{
    char path[sizeof dir];
    write_file("systemctl", script, strlen(script), 0700);
    (void)snprintf(path, sizeof path, "%s", dir);
    char *before = strdup(getenv("PATH") ? getenv("PATH") : "");
    assert_non_null(before);
    (void)setenv("PATH", path, 1);
    enum bye_reason reason = going_down_reason(dir, "/nowhere");
    (void)setenv("PATH", before, 1);
    free(before);
    return reason;
}

static void test_systemd(void **state)
{
    (void)state;
    assert_int_equal(ask_systemctl("#!/bin/sh\n[ \"$1\" = is-system-running ] && echo stopping\nexit 1\n"),
                     BYE_SHUTDOWN);
    assert_int_equal(ask_systemctl("#!/bin/sh\necho running\n"), BYE_STOPPING);
    assert_int_equal(ask_systemctl("#!/bin/sh\necho stopping soon\n"), BYE_STOPPING);
    assert_int_equal(ask_systemctl("#!/bin/sh\nexit 1\n"), BYE_STOPPING);
    assert_int_equal(ask_systemctl("#!/bin/sh\nwhile :; do echo stopping; done\n"), BYE_STOPPING);
    (void)unlink(in_dir("systemctl"));
    (void)setenv("PATH_BEFORE", getenv("PATH"), 1);
    (void)setenv("PATH", dir, 1);
    assert_int_equal(going_down_reason(dir, "/nowhere"), BYE_STOPPING);
    (void)setenv("PATH", getenv("PATH_BEFORE"), 1);
}

/* One that hangs is left behind after a second. */
static void test_systemd_that_hangs(void **state)
{
    struct timespec begin, end;
    (void)state;
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    assert_int_equal(ask_systemctl("#!/bin/sh\nexec /bin/sleep 30\n"), BYE_STOPPING);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    assert_in_range(end.tv_sec - begin.tv_sec, 0, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contacts),
        cmocka_unit_test(test_run_state),
        cmocka_unit_test(test_run_state_of_others),
        cmocka_unit_test(test_run_levels),
        cmocka_unit_test(test_run_state_without_directory),
        cmocka_unit_test(test_systemd),
        cmocka_unit_test(test_systemd_that_hangs),
    };
    return cmocka_run_group_tests_name("agent end", tests, setup, teardown);
}
