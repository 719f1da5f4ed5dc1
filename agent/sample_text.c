/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_text.c - see sample_text.h. */
#include "agent/sample_text.h"

#include <string.h>

bool text_next_line(struct span *line, const char **text)
{
    const char *end = strchr(*text, '\n');
    if (!end)
        return false;
    *line = (struct span){*text, (size_t)(end - *text)};
    *text = end + 1;
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool text_next_word(struct span *word, struct span *line)
{
    while (line->len > 0 && is_blank(line->at[0])) {
        line->at++;
        line->len--;
    }
    size_t len = 0;
    while (len < line->len && !is_blank(line->at[len]))
        len++;
    *word = (struct span){line->at, len};
    line->at += len;
    line->len -= len;
    return len > 0;
}

bool text_next_number(uint64_t *number, struct span *line)
{
    struct span word;
    uint64_t value = 0;
    *number = 0;
    if (!text_next_word(&word, line))
        return false;
    for (size_t i = 0; i < word.len; i++) {
        if (word.at[i] < '0' || word.at[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(word.at[i] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *number = value;
    return true;
}

bool text_next_numbers(uint64_t *numbers, size_t count, struct span *line)
{
    bool complete = true;
    for (size_t i = 0; i < count; i++)
        complete = text_next_number(&numbers[i], line) && complete;
    return complete;
}

bool span_is(struct span span, const char *text)
{
    return strlen(text) == span.len && memcmp(span.at, text, span.len) == 0;
}

bool span_begins(struct span span, const char *text)
{
    size_t len = strlen(text);
    return span.len >= len && memcmp(span.at, text, len) == 0;
}

uint64_t span_hash(struct span span, uint64_t hash)
{
    for (size_t i = 0; i < span.len; i++)
        hash = (hash ^ (uint8_t)span.at[i]) * UINT64_C(0x100000001b3);
    return hash;
}
