/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_common_settings.c - units, addresses, and the line that every kind of mistake in a file gives. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/settings.h"

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        int64_t ns; /* -1: refused */
    } rows[] = {
        {"250ms", 250000000},
        {"0s", 0},
        {"60s", INT64_C(60000000000)},
        {"5m", INT64_C(300000000000)},
        {"2h", INT64_C(7200000000000)},
        {"7d", INT64_C(604800000000000)},
        {"106751d", INT64_C(106751) * 86400 * 1000000000},
        {"106752d", -1},
        {"9223372036854ms", INT64_C(9223372036854000000)},
        {"9223372036855ms", -1},
        {"99999999999999999999s", -1},
        {"18446744073709551617ms", -1},
        {"60", -1},
        {"s", -1},
        {"", -1},
        {"-5s", -1},
        {"+5s", -1},
        {" 5s", -1},
        {"5 s", -1},
        {"5s ", -1},
        {"1.5s", -1},
        {"5S", -1},
        {"5sec", -1},
        {"5min", -1},
        {"5us", -1},
        {"1h30m", -1},
        {"0x5s", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ns = -7;
        int rc = duration_parse(&ns, rows[i].text);
        if (rc != (rows[i].ns < 0 ? -1 : 0) || ns != (rows[i].ns < 0 ? -7 : rows[i].ns))
            fail_msg("\"%s\": %d, %lld", rows[i].text, rc, (long long)ns);
    }
}

static void test_rates(void **state)
{
    static const struct {
        const char *text;
        int rc;
        uint64_t bps;
    } rows[] = {
        {"1424Mbit", 0, 1424000000},
        {"10Gbit", 0, UINT64_C(10000000000)},
        {"100kbit", 0, 100000},
        {"9600bit", 0, 9600},
        {"18446744073709551615bit", 0, UINT64_MAX},
        {"18446744073709551616bit", -1, 0},
        {"18446744074Gbit", -1, 0},
        {"100", -1, 0},
        {"100mbit", -1, 0},
        {"100MBit", -1, 0},
        {"100Mbit/s", -1, 0},
        {"1.5Gbit", -1, 0},
        {"Mbit", -1, 0},
        {"", -1, 0},
        {"-1bit", -1, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t bps = 0;
        if (rate_parse(&bps, rows[i].text) != rows[i].rc || bps != rows[i].bps)
            fail_msg("\"%s\": %llu", rows[i].text, (unsigned long long)bps);
    }
}

static void test_addresses(void **state)
{
    static const struct {
        const char *text, *host, *port; /* host NULL: refused */
    } rows[] = {
        {"recv1.example.net:2005", "recv1.example.net", "2005"},
        {"recv1", "recv1", "2004"},
        {"1.2.3.4:1", "1.2.3.4", "1"},
        {"[::1]:65535", "::1", "65535"},
        {"[fe80::1%eth0]", "fe80::1%eth0", "2004"},
        {"0.0.0.0:0", "0.0.0.0", "0"},
        {"", NULL, NULL},
        {":2004", NULL, NULL},
        {"[]:2004", NULL, NULL},
        {"a:", NULL, NULL},
        {"::1", NULL, NULL},
        {"[::1", NULL, NULL},
        {"[::1]2004", NULL, NULL},
        {"a:65536", NULL, NULL},
        {"a:123456", NULL, NULL},
        {"a:http", NULL, NULL},
        {"a:-1", NULL, NULL},
        {"a b:1", NULL, NULL},
        {"a:1:2", NULL, NULL},
        {"a]:1", NULL, NULL},
        {"a-host-name-too-long-for-it:1", NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char host[20], port[8];
        int rc = address_split(host, sizeof host, port, sizeof port, rows[i].text, SETTINGS_DEFAULT_PORT);
        if (rc != (rows[i].host ? 0 : -1) || (rc == 0 && (strcmp(host, rows[i].host) || strcmp(port, rows[i].port))))
            fail_msg("\"%s\": %d", rows[i].text, rc);
    }
}

static int validate_interval(cfg_t *cfg, cfg_opt_t *opt)
{
    int64_t ns;
    const char *text = cfg_opt_getnstr(opt, 0);
    if (duration_parse(&ns, text))
        return settings_fail(cfg, "%s = \"%s\" is not a duration like \"60s\"", opt->name, text);
    return 0;
}

static int validate_quietly(cfg_t *cfg, cfg_opt_t *opt)
{
    (void)cfg;
    (void)opt;
    return -1;
}

static int validate_twice(cfg_t *cfg, cfg_opt_t *opt)
{
    (void)settings_fail(cfg, "%s: the first reason", opt->name);
    return settings_fail(cfg, "%s: the second reason", opt->name);
}

static cfg_opt_t host_options[] = {CFG_STR("capacity", "", CFGF_NONE), CFG_INT("slots", 0, CFGF_NONE), CFG_END()};

static cfg_opt_t options[] = {
    CFG_STR_LIST("receivers", "{}", CFGF_NONE),
    CFG_STR("interval", "60s", CFGF_NONE),
    CFG_INT("redundancy", 0, CFGF_NONE),
    CFG_BOOL("wide", cfg_false, CFGF_NONE),
    CFG_STR("quiet", "", CFGF_NONE),
    CFG_STR("twice", "", CFGF_NONE),
    CFG_SEC("host", host_options, CFGF_TITLE | CFGF_MULTI),
    CFG_END(),
};

static cfg_t *parse(const char *text, struct error *error)
{
    options[1].validcb = validate_interval;
    options[4].validcb = validate_quietly;
    options[5].validcb = validate_twice;
    return settings_parse_text(options, text, "x.conf", error);
}

#define GOOD                                                                                                        \
    "# a comment\n// another\n/* and\n one */\nreceivers = {\"a:1\", \"b\"}\ninterval = \"5m\"\n\nredundancy = 2\n" \
    "host \"web*\" {\n  capacity = \"10Gbit\"\n}\n"

static void good_check(void)
{
    struct error error = {""};
    cfg_t *cfg = parse(GOOD, &error);
    if (!cfg)
        fail_msg("%s", error.text);
    assert_int_equal(cfg_size(cfg, "receivers"), 2);
    assert_string_equal(cfg_getnstr(cfg, "receivers", 1), "b");
    assert_string_equal(cfg_getstr(cfg, "interval"), "5m");
    assert_int_equal(cfg_getint(cfg, "redundancy"), 2);
    assert_string_equal(cfg_getstr(cfg_getnsec(cfg, "host", 0), "capacity"), "10Gbit");
    cfg_free(cfg);
}

static void test_good(void **state)
{
    struct error error;
    (void)state;
    good_check();
    cfg_t *cfg = parse("", &error);
    assert_non_null(cfg);
    assert_string_equal(cfg_getstr(cfg, "interval"), "60s");
    cfg_free(cfg);
}

/* Each row also leaves the scanner of libconfuse in another state; the good file must parse after all of them. */
static void test_errors(void **state)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"\n\nspeed = 5\n", "x.conf:3: no such option 'speed'"},
        {"host \"a\" {\n capacity = \"1bit\"\n speed = 5\n}\n", "x.conf:3: no such option 'speed'"},
        {"interval = \"60s\"\ninterval = \"60\"\n", "x.conf:2: interval = \"60\" is not a duration like \"60s\""},
        {"redundancy = many\n", "x.conf:1: invalid integer value for option 'redundancy'"},
        {"redundancy = 99999999999999999999\n", "x.conf:1: integer value for option 'redundancy' is out of range"},
        {"wide = perhaps\n", "x.conf:1: invalid boolean value for option 'wide'"},
        {"\nhost \"a\" {\n slots = x\n}\n", "x.conf:3: invalid integer value for option 'slots'"},
        {"host {\n}\n", "x.conf:1: missing title for section 'host'"},
        {"interval\n=\n\"5s\"\n}\n", "x.conf:4: unexpected closing brace"},
        {"interval \"5s\"\n", "x.conf:1: missing equal sign after option 'interval'"},
        {"receivers = {\"a\" \"b\"}\n", "x.conf:1: unexpected token 'b'"},
        {"receivers = {\"a\",\n", "x.conf:2: premature end of file"},
        {"interval = \"60s\n", "x.conf:2: premature end of file"},
        {"interval = '60s\n", "x.conf:2: unterminated string constant"},
        {"interval = \"\\777\"\n", "x.conf:1: invalid octal number '\\777'"},
        {"interval = /* never closed\n", "x.conf:2: premature end of file"},
        {"\nquiet = \"a\"\n", "x.conf:2: not understood; see the manual page"},
        {"\ntwice = \"a\"\n", "x.conf:2: twice: the first reason"},
        {"speed = 1\nredundancy = x\n", "x.conf:1: no such option 'speed'"}, /* the first, not the last */
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct error error = {"old"};
        errno = ERANGE; /* left over from anywhere */
        if (parse(rows[i].text, &error))
            fail_msg("%s\nwas taken", rows[i].text);
        if (strcmp(error.text, rows[i].error) != 0)
            fail_msg("%s\ngives \"%s\", not \"%s\"", rows[i].text, error.text, rows[i].error);
        errno = ERANGE;
        good_check();
    }
    assert_null(parse("speed = 1\n", NULL));
}

static void test_files(void **state)
{
    char folder[] = "/tmp/test_settings_XXXXXX", path[64];
    struct error error;
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/x.conf", folder);
    options[1].validcb = NULL;

    assert_null(settings_parse_file(options, path, &error));
    assert_non_null(strstr(error.text, "No such file"));
    assert_int_equal(chmod(folder, 0750), 0);
    assert_null(settings_parse_file(options, folder, &error)); /* libconfuse itself would end the process here */
    assert_non_null(strstr(error.text, ": is a directory; "));

    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0640);
    assert_int_equal(write(fd, "interval = \"5s\"\nspeed = 1\n", 26), 26);
    assert_null(settings_parse_file(options, path, &error));
    assert_int_equal(strncmp(error.text, path, strlen(path)), 0);
    assert_string_equal(error.text + strlen(path), ":2: no such option 'speed'");

    assert_int_equal(ftruncate(fd, 16), 0);
    cfg_t *cfg = settings_parse_file(options, path, &error);
    assert_non_null(cfg);
    assert_string_equal(cfg_getstr(cfg, "interval"), "5s");
    cfg_free(cfg);

    assert_int_equal(fchmod(fd, 0644), 0);
    assert_null(settings_parse_file(options, path, &error));
    assert_non_null(strstr(error.text, "chmod o-rwx"));
    (void)close(fd);
    (void)unlink(path);
    (void)rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations), cmocka_unit_test(test_rates),  cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_good),      cmocka_unit_test(test_errors), cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
