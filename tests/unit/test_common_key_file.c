/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_common_key_file.c - which files are read, and that none is ever overwritten. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/key_file.h"

/* A folder of its own for each test. */
struct fixture {
    char folder[64];
    char path[128];
};

static int set_up(void **state)
{
    struct fixture *fixture = test_calloc(1, sizeof *fixture);
    (void)snprintf(fixture->folder, sizeof fixture->folder, "/tmp/test_key_file_XXXXXX");
    if (!mkdtemp(fixture->folder))
        return -1;
    (void)snprintf(fixture->path, sizeof fixture->path, "%s/x.key", fixture->folder);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    (void)unlink(fixture->path);
    int rc = rmdir(fixture->folder);
    test_free(fixture);
    return rc;
}

static void put(const char *path, const char *text, size_t len, mode_t mode)
{
    (void)unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    assert_int_equal(fchmod(fd, mode), 0);
    (void)close(fd);
}

static void test_permissions(void **state)
{
    static const struct {
        mode_t mode;
        int rc;
    } rows[] = {{0600, 0},  {0400, 0},  {0640, 0},  {0660, 0},  {0700, 0},   {0604, -1},
                {0602, -1}, {0601, -1}, {0644, -1}, {0666, -1}, {01777, -1}, {0640 | S_ISGID, 0}};
    const struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[16] = "", want[200];
        struct error error = {""};
        put(fixture->path, "hello", 5, rows[i].mode);
        assert_int_equal(file_read_private(fixture->path, text, sizeof text, &error), rows[i].rc);
        (void)snprintf(want, sizeof want, "run: chmod o-rwx %s", fixture->path);
        assert_int_equal(strstr(error.text, want) != NULL, rows[i].rc != 0);
        assert_string_equal(text, rows[i].rc == 0 ? "hello" : "");
    }
}

static void test_contents(void **state)
{
    const struct fixture *fixture = *state;
    char text[8];
    struct error error = {""};
    assert_int_equal(file_read_private(fixture->path, text, sizeof text, &error), -1);
    assert_non_null(strstr(error.text, "No such file"));
    put(fixture->path, "1234567", 7, 0600);
    assert_int_equal(file_read_private(fixture->path, text, sizeof text, &error), 0);
    assert_string_equal(text, "1234567");
    put(fixture->path, "12345678", 8, 0600);
    assert_int_equal(file_read_private(fixture->path, text, sizeof text, &error), -1);
    assert_non_null(strstr(error.text, "longer than 7 bytes"));
    put(fixture->path,
        "12\0"
        "45",
        5, 0600);
    assert_int_equal(file_read_private(fixture->path, text, sizeof text, &error), -1);
    assert_non_null(strstr(error.text, "zero byte"));
    put(fixture->path, "", 0, 0600);
    assert_int_equal(file_read_private(fixture->path, text, sizeof text, &error), 0);
    assert_string_equal(text, "");
}

static void test_create(void **state)
{
    const struct fixture *fixture = *state;
    char text[KEY_TEXT_MAX], wrong[160];
    struct key site, again;
    struct stat st;
    struct error error = {""};
    randombytes_buf(&site, sizeof site);
    size_t len = key_site_format(text, &site);
    mode_t old_mask = umask(0);
    assert_int_equal(key_file_create(fixture->path, text, len, &error), 0);
    (void)umask(old_mask);
    assert_int_equal(stat(fixture->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, len);
    assert_int_equal(key_site_load(&again, fixture->path, &error), 0);
    assert_memory_equal(&again, &site, sizeof site);

    assert_int_equal(key_file_create(fixture->path, "other", 5, &error), -1);
    assert_non_null(strstr(error.text, "exists already"));
    assert_int_equal(key_site_load(&again, fixture->path, &error), 0);
    assert_memory_equal(&again, &site, sizeof site);

    (void)snprintf(wrong, sizeof wrong, "%s/no/such", fixture->folder);
    assert_int_equal(key_file_create(wrong, text, len, &error), -1);
    assert_non_null(strstr(error.text, "cannot create"));
}

/* A symbolic link stands for an existing file even if it leads nowhere. */
static void test_create_over_link(void **state)
{
    const struct fixture *fixture = *state;
    char target[160];
    struct error error;
    (void)snprintf(target, sizeof target, "%s/target", fixture->folder);
    assert_int_equal(symlink(target, fixture->path), 0);
    assert_int_equal(key_file_create(fixture->path, "x", 1, &error), -1);
    assert_int_equal(access(target, F_OK), -1);
}

static void test_load(void **state)
{
    const struct fixture *fixture = *state;
    struct host_key host;
    struct key site;
    struct error error = {""};
    const char line[] = "\ntwobeat-host-key-1 web1 1 "
                        "00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210\n";
    put(fixture->path, line, sizeof line - 1, 0640);
    assert_int_equal(key_host_load(&host, fixture->path, &error), 0);
    assert_string_equal(host.name, "web1");
    assert_int_equal(key_site_load(&site, fixture->path, &error), -1);
    assert_int_equal(strncmp(error.text, fixture->path, strlen(fixture->path)), 0);
    assert_non_null(strstr(error.text, "x.key:2: is a twobeat-host-key-1"));
    assert_int_equal(chmod(fixture->path, 0644), 0);
    assert_int_equal(key_host_load(&host, fixture->path, &error), -1);
}

static void test_standard_output(void **state)
{
    static const char *const names[] = {NULL, "-"};
    int ends[2];
    struct error error;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char got[8] = "";
        (void)fflush(stdout);
        int saved = dup(STDOUT_FILENO);
        assert_int_equal(pipe(ends), 0);
        (void)dup2(ends[1], STDOUT_FILENO);
        int rc = key_file_create(names[i], "text", 4, &error);
        (void)dup2(saved, STDOUT_FILENO);
        (void)close(ends[1]);
        ssize_t n = read(ends[0], got, sizeof got);
        (void)close(ends[0]);
        (void)close(saved);
        assert_int_equal(rc, 0);
        assert_int_equal(n, 4);
        assert_memory_equal(got, "text", 4);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_permissions),      TEST(test_contents), TEST(test_create),
                                       TEST(test_create_over_link), TEST(test_load),     TEST(test_standard_output)};
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
