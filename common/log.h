/* SPDX-License-Identifier: GPL-2.0-or-later */
/* log.h - lines for the operator, on standard error, as the journal likes them.
 *
 * One line an event, with a syslog priority prefix "<N>" when standard error is the journal (JOURNAL_STREAM is set) and
 * without it on a terminal. Nothing that an unauthenticated datagram does may reach this module. What can repeat is
 * told through a `struct complaint`, which says once what is wrong, then backs off, and says once that it is over. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/time.h"

enum log_level {
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_NOTICE = 5,
    LOG_LEVEL_INFO = 6,
    LOG_LEVEL_DEBUG = 7
};

/* Says who speaks (the prefix on a terminal; borrowed for ever) and how much; default: no prefix, INFO. */
void log_init(const char *program, enum log_level most);

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *format, ...);

/* One kind of trouble that can go on for long. Zero-initialise. */
struct complaint {
    bool active;
    uint64_t repeats; /* since the last line */
    int64_t wait_ns;  /* until the next line: 1 min, doubling to 1 h */
    struct instant next_line;
};

/* Trouble: logs the line the first time and then ever more rarely, with the number of repeats. */
__attribute__((format(printf, 4, 5))) void complaint_raise(struct complaint *complaint, enum log_level level,
                                                           struct instant now, const char *format, ...);
/* The trouble is over: logs the line if it was ever raised, and forgets it. */
__attribute__((format(printf, 2, 3))) void complaint_clear(struct complaint *complaint, const char *format, ...);

#endif
