/* SPDX-License-Identifier: GPL-2.0-or-later */
/* error.c - see error.h. */
#include "common/error.h"

#include <stdarg.h>
#include <stdio.h>

int error_set(struct error *error, const char *format, ...)
{
    if (error) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
        for (char *c = error->text; *c; c++) /* one line, whatever a file or a datagram put into it */
            if ((unsigned char)*c < ' ' || *c == 0x7f)
                *c = '?';
    }
    return -1;
}
