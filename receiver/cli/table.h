/* SPDX-License-Identifier: GPL-2.0-or-later */
/* table.h - rows of text: aligned columns on a terminal, tab-separated lines elsewhere.
 *
 * Both begin with the line of headings, and an empty cell is written "-". On a terminal a length is "3d 4h" and an
 * instant may be told as an age; elsewhere a length is whole seconds and an instant a full time, so that programs that
 * read the lines lose nothing. */
#ifndef RECEIVER_CLI_TABLE_H
#define RECEIVER_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table {
    const char *const *headings; /* `columns` of them; one that begins with '>' is a column aligned to the right */
    size_t columns;
    bool terminal;
    char **cells; /* owned, row by row */
    size_t count, capacity;
    bool failed; /* out of memory */
};

/* Looks whether standard output is a terminal. `headings` are borrowed. */
void table_init(struct table *table, const char *const *headings, size_t columns);
void table_free(struct table *table);

/* Add the next cell; a row is full when it has all its columns. NULL or "" is an empty cell. */
__attribute__((format(printf, 2, 3))) void table_add(struct table *table, const char *format, ...);
void table_add_time(struct table *table, int64_t at);
void table_add_length(struct table *table, int64_t seconds);

/* Prints headings and rows to standard output. Returns 0, or -1 if that failed or memory ran out. */
int table_print(const struct table *table);

#endif
