/* SPDX-License-Identifier: GPL-2.0-or-later */
/* key.c - see key.h.
 *
 * The texts are parsed as spans of the caller's buffer, never copied, so that no second copy of a secret is left on
 * the stack. A file is refused for anything it should not hold: a key that is almost right is a mistake of somebody. */
#include "common/key.h"

#include <assert.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define SITE_WORD "twobeat-site-key-1"
#define HOST_WORD "twobeat-host-key-1"
#define VIEW_WORD "twobeat-view-key-1"
#define HEX_LEN (2 * KEY_LEN)
#define WORDS_MAX 4
#define BLANKS " \t\r"

static_assert(KEY_LEN <= crypto_generichash_BYTES_MAX && KEY_LEN >= crypto_generichash_KEYBYTES_MIN, "BLAKE2b");

/* BLAKE2b(32; parent; input) of PROTOCOL.md section 1. It fails only for lengths that are constants here. */
static void derive(struct key *out, const struct key *parent, const void *input, size_t len)
{
    int rc = crypto_generichash(out->bytes, KEY_LEN, input, len, parent->bytes, KEY_LEN);
    assert(rc == 0);
    (void)rc;
}

void key_derive_host(struct key *out, const struct key *site, uint8_t generation, const char *name, size_t name_len)
{
    assert(name_is_valid(name, name_len));
    uint8_t input[4 + 1 + NAME_LEN_MAX] = {'h', 'o', 's', 't', generation};
    memcpy(input + 5, name, name_len);
    derive(out, site, input, 5 + name_len);
}

void key_derive_agent(struct key *out, const struct key *host)
{
    derive(out, host, "agent", 5);
}

void key_derive_ack(struct key *out, const struct key *host)
{
    derive(out, host, "ack", 3);
}

void key_derive_peer(struct key *out, const struct key *site, const char *from, const char *to)
{
    size_t from_len = strlen(from), to_len = strlen(to);
    assert(name_is_valid(from, from_len) && name_is_valid(to, to_len));
    uint8_t input[4 + 1 + 2 * NAME_LEN_MAX] = {'p', 'e', 'e', 'r', (uint8_t)from_len};
    memcpy(input + 5, from, from_len);
    memcpy(input + 5 + from_len, to, to_len);
    derive(out, site, input, 5 + from_len + to_len);
}

void key_derive_view(struct key *out, const struct key *site)
{
    derive(out, site, "view", 4);
}

/* One comment line, then the words before the key and the key. */
static size_t format_text(char out[KEY_TEXT_MAX], const char *comment, const char *words, const struct key *key)
{
    char hex[HEX_LEN + 1];
    sodium_bin2hex(hex, sizeof hex, key->bytes, KEY_LEN);
    int len = snprintf(out, KEY_TEXT_MAX, "# %s\n%s %s\n", comment, words, hex);
    sodium_memzero(hex, sizeof hex);
    assert(len > 0 && len < KEY_TEXT_MAX);
    return (size_t)len;
}

size_t key_site_format(char out[KEY_TEXT_MAX], const struct key *site)
{
    return format_text(out, "The secret site key of twobeat receivers: all host keys follow from it.", SITE_WORD, site);
}

size_t key_view_format(char out[KEY_TEXT_MAX], const struct key *view)
{
    return format_text(out, "The secret view key of the twobeat web pages: it opens no datagram.", VIEW_WORD, view);
}

size_t key_host_format(char out[KEY_TEXT_MAX], const struct host_key *host)
{
    char words[sizeof HOST_WORD + NAME_LEN_MAX + 8];
    (void)snprintf(words, sizeof words, "%s %s %u", HOST_WORD, host->name, (unsigned)host->generation);
    return format_text(out, "The secret key of one twobeat host: keep it private.", words, &host->key);
}

/* A word of the caller's text. */
struct span {
    const char *at;
    size_t len;
};

static bool span_is(struct span span, const char *word)
{
    return span.len == strlen(word) && memcmp(span.at, word, span.len) == 0;
}

/* The one line of words of a key file, and where it stands. */
struct key_line {
    struct span words[WORDS_MAX + 1]; /* one more than any kind has, to see that there are too many */
    size_t count;
    unsigned number;
};

/* Splits the line from `at` to `end` into words. */
static void line_split(struct key_line *line, const char *at, const char *end)
{
    line->count = 0;
    while (line->count <= WORDS_MAX) {
        while (at < end && strchr(BLANKS, *at))
            at++;
        if (at == end)
            return;
        const char *start = at;
        while (at < end && !strchr(BLANKS, *at))
            at++;
        line->words[line->count++] = (struct span){start, (size_t)(at - start)};
    }
}

/* Finds the only line that is neither empty nor a comment. */
static int line_find(struct key_line *out, const char *text, const char *where, struct error *error)
{
    *out = (struct key_line){.count = 0};
    for (unsigned number = 1; *text; number++) {
        const char *end = text + strcspn(text, "\n");
        struct key_line line = {.number = number};
        line_split(&line, text, end);
        if (line.count > 0 && line.words[0].at[0] != '#') {
            if (out->count > 0)
                return error_set(error, "%s:%u: a second key; a key file holds one", where, number);
            *out = line;
        }
        text = *end ? end + 1 : end;
    }
    if (out->count == 0)
        return error_set(error, "%s: holds no key; make one with \"twobeat key\"", where);
    return 0;
}

/* Finds the line and checks that it begins with `word` and has `count` words. */
static int line_expect(struct key_line *line, const char *text, const char *word, size_t count, const char *where,
                       struct error *error)
{
    static const char *const kinds[] = {SITE_WORD, HOST_WORD, VIEW_WORD};
    if (line_find(line, text, where, error))
        return -1;
    if (!span_is(line->words[0], word)) {
        /* Only a word that is known is repeated: anything else may be a secret that lost its line. */
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
            if (span_is(line->words[0], kinds[i]))
                return error_set(error, "%s:%u: is a %s, but a %s is needed here", where, line->number, kinds[i], word);
        return error_set(error, "%s:%u: does not begin with %s; make a key with \"twobeat key\"", where, line->number,
                         word);
    }
    if (line->count != count)
        return error_set(error, "%s:%u: should hold %zu words; make the key again with \"twobeat key\"", where,
                         line->number, count);
    return 0;
}

static int hex_parse(struct key *out, struct span hex, const char *where, unsigned number, struct error *error)
{
    /* The end of the word is a blank or the end of the text, so the digits cannot run on past it. */
    bool digits = hex.len == HEX_LEN && strspn(hex.at, "0123456789abcdef") == HEX_LEN;
    if (!digits || sodium_hex2bin(out->bytes, KEY_LEN, hex.at, hex.len, NULL, NULL, NULL) != 0)
        return error_set(error, "%s:%u: the key is not %d lower-case hexadecimal digits; copy the file again", where,
                         number, HEX_LEN);
    if (sodium_is_zero(out->bytes, KEY_LEN))
        return error_set(error, "%s:%u: the key is only a placeholder of zeros; make one with \"twobeat key\"", where,
                         number);
    return 0;
}

/* 1 to 255 without leading zeros; 0 for anything else. */
static uint8_t generation_parse(struct span word)
{
    unsigned value = 0;
    if (word.len == 0 || word.len > 3 || word.at[0] == '0')
        return 0;
    for (size_t i = 0; i < word.len; i++) {
        if (word.at[i] < '0' || word.at[i] > '9')
            return 0;
        value = value * 10 + (unsigned)(word.at[i] - '0');
    }
    return value <= UINT8_MAX ? (uint8_t)value : 0;
}

int key_site_parse(struct key *out, const char *text, const char *where, struct error *error)
{
    struct key_line line;
    if (line_expect(&line, text, SITE_WORD, 2, where, error))
        return -1;
    return hex_parse(out, line.words[1], where, line.number, error);
}

int key_host_parse(struct host_key *out, const char *text, const char *where, struct error *error)
{
    struct key_line line;
    if (line_expect(&line, text, HOST_WORD, 4, where, error))
        return -1;
    struct span name = line.words[1];
    if (!name_is_valid(name.at, name.len))
        return error_set(error, "%s:%u: the second word is not a host name; use a-z 0-9 . _ -", where, line.number);
    *out = (struct host_key){.generation = generation_parse(line.words[2])};
    if (out->generation == 0)
        return error_set(error, "%s:%u: the generation is not 1 to 255", where, line.number);
    memcpy(out->name, name.at, name.len);
    return hex_parse(&out->key, line.words[3], where, line.number, error);
}
