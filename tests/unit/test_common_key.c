/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_common_key.c - the text of key files, and that keys differ wherever they should. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "common/key.h"

#define HEX "00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210"
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define SITE "twobeat-site-key-1 " HEX
#define HOST "twobeat-host-key-1 web1 2 " HEX

struct row {
    const char *text;
    const char *error; /* a part of it, or NULL if the text is right */
};

static const struct row site_rows[] = {
    {SITE "\n", NULL},
    {SITE, NULL},
    {"# comment\n\n  \t\n" SITE "\r\n# end", NULL},
    {"  twobeat-site-key-1\t" HEX "  \n", NULL},
    {"", "f: holds no key"},
    {"# only a comment\n", "f: holds no key"},
    {SITE "\n" SITE "\n", "f:2: a second key"},
    {"\n" HOST "\n", "f:2: is a twobeat-host-key-1, but a twobeat-site-key-1 is needed here"},
    {"twobeat-view-key-1 " HEX, "f:1: is a twobeat-view-key-1"},
    {"twobeat-site-key-2 " HEX, "f:1: does not begin with twobeat-site-key-1"},
    {HEX, "f:1: does not begin with"},
    {"twobeat-site-key-1", "f:1: should hold 2 words"},
    {SITE " x", "f:1: should hold 2 words"},
    {SITE "0", "f:1: the key is not 64"},
    {"twobeat-site-key-1 0011", "f:1: the key is not 64"},
    {"twobeat-site-key-1 A0112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210", "f:1: the key is not 64"},
    {"twobeat-site-key-1 x0112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210", "f:1: the key is not 64"},
    {"#\n#\ntwobeat-site-key-1 " ZEROS, "f:3: the key is only a placeholder"},
};

static const struct row host_rows[] = {
    {HOST "\n", NULL},
    {"twobeat-host-key-1 web1 255 " HEX, NULL},
    {SITE, "f:1: is a twobeat-site-key-1"},
    {"twobeat-host-key-1 web1 " HEX, "f:1: should hold 4 words"},
    {HOST " more words here and there", "f:1: should hold 4 words"},
    {"twobeat-host-key-1 Web1 2 " HEX, "f:1: the second word is not a host name"},
    {"twobeat-host-key-1 ../x 2 " HEX, "f:1: the second word is not a host name"},
    {"twobeat-host-key-1 web1 0 " HEX, "f:1: the generation is not 1 to 255"},
    {"twobeat-host-key-1 web1 256 " HEX, "f:1: the generation"},
    {"twobeat-host-key-1 web1 257 " HEX, "f:1: the generation"},
    {"twobeat-host-key-1 web1 01 " HEX, "f:1: the generation"},
    {"twobeat-host-key-1 web1 -1 " HEX, "f:1: the generation"},
    {"twobeat-host-key-1 web1 1x " HEX, "f:1: the generation"},
    {"twobeat-host-key-1 web1 4294967297 " HEX, "f:1: the generation"},
    {"twobeat-host-key-1 web1 2 " ZEROS, "f:1: the key is only a placeholder"},
};

static void row_check(const struct row *row, int rc, const struct error *error)
{
    if (!row->error && rc != 0)
        fail_msg("\"%s\": %s", row->text, error->text);
    if (row->error && (rc != -1 || strncmp(error->text, row->error, strlen(row->error)) != 0))
        fail_msg("\"%s\": rc %d, \"%s\", not \"%s\"", row->text, rc, error->text, row->error);
    assert_null(strstr(error->text, HEX)); /* an error line goes to logs, a key does not */
}

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof site_rows / sizeof site_rows[0]; i++) {
        struct key key;
        struct error error = {""};
        row_check(&site_rows[i], key_site_parse(&key, site_rows[i].text, "f", &error), &error);
    }
    for (size_t i = 0; i < sizeof host_rows / sizeof host_rows[0]; i++) {
        struct host_key host;
        struct error error = {""};
        row_check(&host_rows[i], key_host_parse(&host, host_rows[i].text, "f", &error), &error);
    }
}

static void test_values(void **state)
{
    struct host_key host;
    struct error error;
    char hex[2 * KEY_LEN + 1];
    (void)state;
    assert_int_equal(key_host_parse(&host, HOST, "f", &error), 0);
    assert_string_equal(host.name, "web1");
    assert_int_equal(host.generation, 2);
    assert_string_equal(sodium_bin2hex(hex, sizeof hex, host.key.bytes, KEY_LEN), HEX);
}

/* What we write we read, also at the greatest length. */
static void test_round_trip(void **state)
{
    char text[KEY_TEXT_MAX];
    struct key site, site_again;
    struct host_key host = {.generation = 255}, host_again;
    struct error error;
    size_t len;
    (void)state;
    randombytes_buf(&site, sizeof site);
    randombytes_buf(&host.key, sizeof host.key);
    memset(host.name, 'n', NAME_LEN_MAX);
    len = key_site_format(text, &site);
    assert_int_equal(len, strlen(text));
    assert_int_equal(key_site_parse(&site_again, text, "f", &error), 0);
    assert_memory_equal(&site_again, &site, sizeof site);
    len = key_host_format(text, &host);
    assert_int_equal(len, strlen(text));
    assert_int_equal(key_host_parse(&host_again, text, "f", &error), 0);
    assert_memory_equal(&host_again, &host, sizeof host);
    len = key_view_format(text, &site);
    assert_int_equal(len, strlen(text));
    assert_int_equal(key_site_parse(&site_again, text, "f", &error), -1);
}

static void test_keys_differ(void **state)
{
    struct key site = {{1}}, keys[7];
    (void)state;
    key_derive_host(&keys[0], &site, 1, "a", 1);
    key_derive_host(&keys[1], &site, 2, "a", 1);
    key_derive_host(&keys[2], &site, 1, "b", 1);
    key_derive_host(&keys[3], &site, 1, "ab", 2);
    key_derive_agent(&keys[4], &keys[0]);
    key_derive_ack(&keys[5], &keys[0]);
    key_derive_view(&keys[6], &site);
    for (size_t i = 0; i < 7; i++)
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(&keys[i], &keys[j], KEY_LEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse), cmocka_unit_test(test_values),
                                       cmocka_unit_test(test_round_trip), cmocka_unit_test(test_keys_differ)};
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
