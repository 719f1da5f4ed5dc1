/* SPDX-License-Identifier: GPL-2.0-or-later */
/* name.h - what may be the name of a host, and which names a pattern means.
 *
 * A name becomes a folder and an argument of librrd, whose error path once took file names as format strings: the
 * alphabet is therefore fixed here, for everyone (PROTOCOL.md section 2). */
#ifndef COMMON_NAME_H
#define COMMON_NAME_H

#include <stdbool.h>
#include <stddef.h>

#define NAME_LEN_MAX 100

/* Whether the `len` bytes at `name` are a host name: [a-z0-9._-], first a letter or digit, no "..", 1 to 100 long. */
bool name_is_valid(const char *name, size_t len);

/* Whether `name` fits `pattern`: `*` any text, `?` any one character, `[a-z]` a range; anchored at both ends. */
bool name_matches(const char *pattern, const char *name);

#endif
