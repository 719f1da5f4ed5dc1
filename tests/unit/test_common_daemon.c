/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_common_daemon.c - sd_notify and the dropping of privileges. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/privileges.h"
#include "common/sd_notify.h"

/* Binds a datagram socket, sends "READY=1" to the name as systemd would give it, and checks that it arrives. */
static void notify_check(const char *name)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char got[32] = "";
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    memcpy(at.sun_path, name, strlen(name) + 1);
    if (name[0] == '@')
        at.sun_path[0] = '\0';
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    sd_notify_send("READY=1");
    assert_int_equal(recv(fd, got, sizeof got - 1, 0), 7);
    assert_string_equal(got, "READY=1");
    (void)close(fd);
}

static void test_notify(void **state)
{
    char folder[] = "/tmp/test_daemon_XXXXXX", path[64];
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/notify", folder);
    notify_check(path);
    (void)unlink(path);
    (void)rmdir(folder);
    (void)snprintf(path, sizeof path, "@test_daemon_%d", (int)getpid());
    notify_check(path);
}

/* None of these names leads anywhere, and none does harm. */
static void test_notify_nowhere(void **state)
{
    char too_long[300];
    memset(too_long, 'x', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    too_long[0] = '/';
    const char *const names[] = {"", "@", "relative", "/no/such/socket", too_long};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(setenv("NOTIFY_SOCKET", names[i], 1), 0);
        sd_notify_send("READY=1");
    }
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    sd_notify_send("READY=1");
}

static void test_watchdog(void **state)
{
    char own[16];
    (void)snprintf(own, sizeof own, "%d", (int)getpid());
    const struct {
        const char *usec, *pid;
        int64_t ns;
    } rows[] = {
        {NULL, NULL, 0},
        {"30000000", NULL, INT64_C(15000000000)},
        {"30000000", own, INT64_C(15000000000)},
        {"30000000", "1", 0},
        {"30000000", "x", 0},
        {"0", NULL, 0},
        {"-5", NULL, 0},
        {"5s", NULL, 0},
        {"99999999999999999999", NULL, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)unsetenv("WATCHDOG_USEC");
        (void)unsetenv("WATCHDOG_PID");
        if (rows[i].usec)
            assert_int_equal(setenv("WATCHDOG_USEC", rows[i].usec, 1), 0);
        if (rows[i].pid)
            assert_int_equal(setenv("WATCHDOG_PID", rows[i].pid, 1), 0);
        assert_true(sd_notify_watchdog_ns() == rows[i].ns);
    }
}

struct expected {
    uid_t start; /* becomes this user before; 0: stays as it is */
    uid_t uid;
    gid_t gid;
    int groups;            /* -1: any */
    int no_new_privileges; /* -1: any */
};

/* Drops in a child, since there is no way back, and compares what it has become. Returns 0, or the number of the
 * check that failed. */
static int drop_in_child(const char *dir, struct expected want)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct error error = {""};
        struct rlimit core;
        int failed = 0;
        const gid_t group = 99; /* something that has to go */
        if (geteuid() == 0 && setgroups(1, &group) != 0)
            failed = 9;
        else if (want.start && setresuid(want.start, want.start, want.start) != 0)
            failed = 8;
        else if (privileges_drop_to_owner(dir, &error))
            failed = 1;
        else if (getuid() != want.uid || geteuid() != want.uid || getgid() != want.gid || getegid() != want.gid)
            failed = 2;
        else if (want.groups >= 0 && getgroups(0, NULL) != want.groups)
            failed = 3;
        else if (want.no_new_privileges >= 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != want.no_new_privileges)
            failed = 4;
        else if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
            failed = 5;
        else if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_cur != 0 || core.rlim_max != 0)
            failed = 6;
        else if (setuid(0) == 0)
            failed = 7;
        if (failed)
            (void)fprintf(stderr, "check %d failed: %s\n", failed, error.text);
        _exit(failed);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static uid_t owner_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_uid;
}

static void test_privileges_root(void **state)
{
    char folder[] = "/tmp/test_daemon_XXXXXX";
    (void)state;
    if (geteuid() != 0) {
        print_message("SKIPPED test_privileges_root: it needs root\n");
        skip();
    }
    assert_non_null(mkdtemp(folder));
    assert_int_equal(drop_in_child(folder, (struct expected){0, 65534, 65534, 0, 1}), 0); /* root's: nobody */
    assert_int_equal(owner_of(folder), 65534);                                            /* it was empty */
    char file[64];
    (void)snprintf(file, sizeof file, "%s/something", folder);
    assert_int_equal(mkdir(file, 0700), 0);
    assert_int_equal(chown(folder, 0, 0), 0);
    assert_int_equal(drop_in_child(folder, (struct expected){0, 65534, 65534, 0, 1}), 0);
    assert_int_equal(owner_of(folder), 0); /* it holds something */
    assert_int_equal(rmdir(file), 0);
    assert_int_equal(drop_in_child("/no/such/folder", (struct expected){0, 65534, 65534, 0, 1}), 0);
    assert_int_equal(drop_in_child(NULL, (struct expected){0, 65534, 65534, 0, 1}), 0);
    assert_int_equal(chown(folder, 1234, 2345), 0);
    assert_int_equal(drop_in_child(folder, (struct expected){0, 1234, 2345, 0, 1}), 0);
    assert_int_equal(chown(folder, 1234, 0), 0);
    assert_int_equal(drop_in_child(folder, (struct expected){0, 1234, 65534, 0, 1}), 0); /* but never group root */
    (void)rmdir(folder);
}

/* Who is not root stays who he is, and is hidden all the same. */
static void test_privileges_user(void **state)
{
    uid_t user = geteuid() == 0 ? 1234 : 0;
    (void)state;
    assert_int_equal(drop_in_child("/", (struct expected){user, user ? user : getuid(), getgid(), -1, -1}), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_notify),          cmocka_unit_test(test_notify_nowhere),  cmocka_unit_test(test_watchdog),
        cmocka_unit_test(test_privileges_root), cmocka_unit_test(test_privileges_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
