/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_agent_settings.c - texts of agent.conf, and the values or the one line that comes of them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent_settings.h"

static void test_defaults(void **state)
{
    struct agent_settings settings;
    struct error error;
    (void)state;
    assert_int_equal(agent_settings_parse(&settings, "receivers = {\"recv1.example.net\"}\n", "a.conf", &error), 0);
    assert_int_equal(settings.receiver_count, 1);
    assert_string_equal(settings.receivers[0].host, "recv1.example.net");
    assert_string_equal(settings.receivers[0].port, "2004");
    assert_string_equal(settings.key_file, "/etc/twobeat/host.key");
    assert_string_equal(settings.state_dir, "/var/lib/twobeat-agent");
    assert_true(settings.interval_ns == 60 * NS_PER_S);
    assert_int_equal(settings.keep, 256);
    assert_int_equal(settings.ignore_filesystems.count, 0);
    assert_int_equal(settings.interfaces.count, 0);
    agent_settings_clear(&settings);
}

static void test_everything(void **state)
{
    static const char text[] = "# a comment\n"
                               "receivers = {\"recv1:2005\", \"192.0.2.1\",\n  \"[2001:db8::1]:99\"}\n"
                               "key_file = \"/k\"  interval = \"250ms\"\nstate_dir = \"/s\"\nredundancy = 3\nkeep = 0\n"
                               "ignore_filesystems = {\"/mnt/*\", \"/x\"}\ninterfaces = {\"tun0\"}\n";
    struct agent_settings settings;
    struct error error;
    (void)state;
    assert_int_equal(agent_settings_parse(&settings, text, "a.conf", &error), 0);
    assert_int_equal(settings.receiver_count, 3);
    assert_string_equal(settings.receivers[0].port, "2005");
    assert_string_equal(settings.receivers[1].host, "192.0.2.1");
    assert_string_equal(settings.receivers[2].host, "2001:db8::1");
    assert_string_equal(settings.receivers[2].port, "99");
    assert_string_equal(settings.key_file, "/k");
    assert_string_equal(settings.state_dir, "/s");
    assert_true(settings.interval_ns == 250 * NS_PER_MS);
    assert_int_equal(settings.keep, 0);
    assert_int_equal(settings.ignore_filesystems.count, 2);
    assert_string_equal(settings.ignore_filesystems.items[1], "/x");
    assert_string_equal(settings.interfaces.items[0], "tun0");
    agent_settings_clear(&settings);
}

/* Memory that nobody wrote must not make two equal addresses differ: they are compared whole. */
static void test_addresses_can_be_compared(void **state)
{
    struct agent_settings one, two;
    struct error error;
    (void)state;
    memset(&one, 0x11, sizeof one);
    memset(&two, 0x22, sizeof two);
    assert_int_equal(agent_settings_parse(&one, "receivers = {\"a\"}", "a.conf", &error), 0);
    assert_int_equal(agent_settings_parse(&two, "receivers = {\"a:2004\"}", "a.conf", &error), 0);
    assert_memory_equal(&one.receivers[0], &two.receivers[0], sizeof one.receivers[0]);
    agent_settings_clear(&one);
    agent_settings_clear(&two);
}

struct bad_row {
    const char *text;
    const char *begins; /* the line, up to there */
};

#define R "receivers = {\"a\"}\n"

static void test_refused(void **state)
{
    static const struct bad_row rows[] = {
        {"", "a.conf: no receivers"},
        {"interval = \"60s\"\n", "a.conf: no receivers"},
        {"receivers = {}\n", "a.conf: no receivers"},
        {"receivers = {\"a\", \"a:2004\"}\n", "a.conf: receiver \"a:2004\" is named twice"},
        {"receivers = {\"a\",\n\"b:c\"}\n", "a.conf:2: receiver \"b:c\" is not understood"},
        {"receivers = {\"a:0\"}\n", "a.conf:1: receiver \"a:0\" is not understood"},
        {"receivers = {\"2001:db8::1\"}\n", "a.conf:1: receiver \"2001:db8::1\" is not understood"},
        {"receivers = {\"\"}\n", "a.conf:1: receiver \"\" is not understood"},
        {R "interval = \"249ms\"\n", "a.conf:2: interval \"249ms\" is not between"},
        {R "interval = \"4501s\"\n", "a.conf:2: interval \"4501s\" is not between"},
        {R "\n\ninterval = \"60\"\n", "a.conf:4: interval \"60\" is not between"},
        {R "interval = \"-1s\"\n", "a.conf:2: interval \"-1s\" is not between"},
        {R "keep = 257\n", "a.conf:2: keep = 257 is not between 0 and 256"},
        {R "keep = -1\n", "a.conf:2: keep = -1 is not between"},
        {R "keep = 99999999999999999999\n", "a.conf:2: keep = 99999999999999999999 is not between"},
        {R "keep = all\n", "a.conf:2: keep = all is not between"},
        {R "keep = \"\"\n", "a.conf:2: keep = "},
        {R "key_file = \"\"\n", "a.conf:2: key_file is empty"},
        {R "state_dir = \"\"\n", "a.conf:2: state_dir is empty"},
        {R "interfaces = {\"\"}\n", "a.conf:2: interfaces is empty"},
        {"receivers = {\"a\", \"A:02004\"}\n", "a.conf: receiver \"A:02004\" is named twice"},
        {"receivers = {\"a:00\"}\n", "a.conf:1: receiver \"a:00\" is not understood"},
        {R "redundancy = -1\n", "a.conf:2: redundancy = -1 is not between 0 and 16"},
        {R "redundancy = 17\n", "a.conf:2: redundancy = 17 is not between"},
        {R "redundancy = some\n", "a.conf:2: "},
        {R "intervall = \"60s\"\n", "a.conf:2: "},
        {R "interval = \"60s\n", "a.conf:"},
        {R "interval\n", "a.conf:"},
        {"receivers = "
         "{\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\",\"12\",\"13\",\"14\",\"15\",\"16\","
         "\"17\"}",
         "a.conf: 17 receivers are more"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct agent_settings settings = {.receiver_count = 99};
        struct error error = {""};
        if (agent_settings_parse(&settings, rows[i].text, "a.conf", &error) != -1)
            fail_msg("row %zu was taken", i);
        if (strncmp(error.text, rows[i].begins, strlen(rows[i].begins)) != 0)
            fail_msg("row %zu: \"%s\"", i, error.text);
        assert_null(strchr(error.text, '\n'));
        assert_int_equal(settings.receiver_count, 99); /* untouched */
    }
}

/* The receivers are known by their entries, however these are written. Who chooses what is tested in test_spread.c. */
static void test_spread(void **state)
{
    static const char text[] = "redundancy = 2\nreceivers = {\"RECV1.example.net\", \"recv2.example.net:02004\", "
                               "\"[2001:DB8::1]\", \"recv4.example.org:2104\"}\n";
    struct agent_settings settings;
    struct error error;
    char address[AGENT_SETTINGS_ADDRESS_SIZE];
    (void)state;
    assert_int_equal(agent_settings_parse(&settings, text, "a.conf", &error), 0);
    assert_int_equal(settings.receiver_count, 4);
    assert_string_equal(receiver_address_text(address, &settings.receivers[0]), "recv1.example.net:2004");
    assert_string_equal(receiver_address_text(address, &settings.receivers[1]), "recv2.example.net:2004");
    assert_string_equal(receiver_address_text(address, &settings.receivers[2]), "[2001:db8::1]:2004");
    agent_settings_spread(&settings, "web1");
    assert_int_equal(settings.receiver_count, 2);
    assert_int_equal(settings.listed_count, 4);
    agent_settings_clear(&settings);

    assert_int_equal(agent_settings_parse(&settings, R "redundancy = 3\n", "a.conf", &error), 0);
    agent_settings_spread(&settings, "web1");
    assert_int_equal(settings.receiver_count, 1); /* no more than there are */
    agent_settings_clear(&settings);
}

static void test_limits(void **state)
{
    static const char *const good[] = {R "interval = \"75m\"", R "interval = \"1h\"", R "redundancy = 1",
                                       R "redundancy = 16"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct agent_settings settings;
        struct error error;
        if (agent_settings_parse(&settings, good[i], "a.conf", &error))
            fail_msg("%s", error.text);
        agent_settings_clear(&settings);
    }
}

/* Where the keys are is nobody's business: a file that others may read is refused. */
static void test_file(void **state)
{
    char path[] = "/tmp/test_agent_settings_XXXXXX";
    struct agent_settings settings;
    struct error error;
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, R, strlen(R)), (ssize_t)strlen(R));
    assert_int_equal(agent_settings_load(&settings, path, &error), 0);
    agent_settings_clear(&settings);
    assert_int_equal(fchmod(fd, 0604), 0);
    assert_int_equal(agent_settings_load(&settings, path, &error), -1);
    assert_non_null(strstr(error.text, path));
    assert_non_null(strstr(error.text, "chmod o-rwx"));
    (void)close(fd);
    (void)unlink(path);
    assert_int_equal(agent_settings_load(&settings, path, &error), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_addresses_can_be_compared),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_spread),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_file),
    };
    return cmocka_run_group_tests_name("agent settings", tests, NULL, NULL);
}
