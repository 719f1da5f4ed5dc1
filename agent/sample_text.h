/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_text.h - reading the tables of /proc: lines, words, numbers.
 *
 * Only lines that end with a newline count. A text that was cut off then lacks something, instead of holding a wrong
 * number. Pure. */
#ifndef AGENT_SAMPLE_TEXT_H
#define AGENT_SAMPLE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A piece of a text, which it borrows. */
struct span {
    const char *at;
    size_t len;
};

/* Takes the next whole line, without its newline, off the front of `text`. False at the end. */
bool text_next_line(struct span *line, const char **text);

/* Takes the next word, between blanks or tabs, off the front of `line`. False if there is none. */
bool text_next_word(struct span *word, struct span *line);

/* Takes the next word off `line`, which must be a whole number. */
bool text_next_number(uint64_t *number, struct span *line);

/* Takes `count` numbers; false, with the rest zero, if there are fewer. */
bool text_next_numbers(uint64_t *numbers, size_t count, struct span *line);

bool span_is(struct span span, const char *text);
bool span_begins(struct span span, const char *text);

/* FNV-1a, 64 bits, going on from `hash` or SPAN_HASH_START: not for enemies, the names are the kernel's. */
uint64_t span_hash(struct span span, uint64_t hash);
#define SPAN_HASH_START UINT64_C(0xcbf29ce484222325)

#endif
