/* SPDX-License-Identifier: GPL-2.0-or-later */
/* error.h - why something could not be done, as one line for a person.
 *
 * Functions that can fail for a reason worth telling return 0 or -1 and fill a `struct error` that the caller owns.
 * The line says what, where and what to do; it ends without a full stop or newline. */
#ifndef COMMON_ERROR_H
#define COMMON_ERROR_H

#define ERROR_TEXT_MAX 512

struct error {
    char text[ERROR_TEXT_MAX];
};

/* Formats the line into `error` (which may be NULL) and returns -1, so that callers can write `return error_set(...)`. */
__attribute__((format(printf, 2, 3))) int error_set(struct error *error, const char *format, ...);

#endif
