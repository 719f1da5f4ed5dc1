/* SPDX-License-Identifier: GPL-2.0-or-later */
/* log.c - see log.h.
 *
 * A line leaves in one write, so that lines of threads and processes never mix, and holds no control characters, so
 * that nothing in a name or path can forge a second line. That a line could not be written is told nobody. */
#include "common/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_LEN_MAX 2048
#define COMPLAINT_WAIT_FIRST_NS (60 * NS_PER_S)
#define COMPLAINT_WAIT_MAX_NS (3600 * NS_PER_S)

/* Written by log_init before there are threads. */
static const char *log_program;
static enum log_level log_most = LOG_LEVEL_INFO;
static bool log_to_journal;

/* JOURNAL_STREAM names the device and inode of the journal's stream. It is inherited also by children whose standard
 * error was sent elsewhere, hence the comparison. */
static bool stderr_is_journal(void)
{
    uintmax_t device = 0, inode = 0;
    struct stat st;
    const char *stream = getenv("JOURNAL_STREAM");
    if (!stream || sscanf(stream, "%" SCNuMAX ":%" SCNuMAX, &device, &inode) != 2)
        return false;
    return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_init(const char *program, enum log_level most)
{
    log_program = program;
    log_most = most;
    log_to_journal = stderr_is_journal();
}

void log_line(enum log_level level, const char *format, ...)
{
    char line[LINE_LEN_MAX + 1];
    int head = 0;
    if (level > log_most)
        return;
    if (log_to_journal)
        head = snprintf(line, LINE_LEN_MAX, "<%d>", (int)level);
    else if (log_program)
        head = snprintf(line, LINE_LEN_MAX, "%s: ", log_program);
    if (head < 0 || head >= LINE_LEN_MAX)
        head = 0;

    va_list args;
    va_start(args, format);
    (void)vsnprintf(line + head, LINE_LEN_MAX - (size_t)head, format, args);
    va_end(args);

    size_t len = strlen(line);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?';
    line[len++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written;
}

void complaint_raise(struct complaint *complaint, enum log_level level, struct instant now, const char *format, ...)
{
    char text[LINE_LEN_MAX];
    if (complaint->active && instant_before(now, complaint->next_line)) {
        complaint->repeats++;
        return;
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (complaint->repeats > 0)
        log_line(level, "%s (and %" PRIu64 " times more since the last such line)", text, complaint->repeats);
    else
        log_line(level, "%s", text);

    int64_t wait_ns = complaint->active ? 2 * complaint->wait_ns : COMPLAINT_WAIT_FIRST_NS;
    complaint->active = true;
    complaint->repeats = 0;
    complaint->wait_ns = wait_ns < COMPLAINT_WAIT_MAX_NS ? wait_ns : COMPLAINT_WAIT_MAX_NS;
    complaint->next_line = instant_add(now, complaint->wait_ns);
}

void complaint_clear(struct complaint *complaint, const char *format, ...)
{
    char text[LINE_LEN_MAX];
    if (!complaint->active)
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_line(LOG_LEVEL_NOTICE, "%s", text);
    *complaint = (struct complaint){.active = false};
}
