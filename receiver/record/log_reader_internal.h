/* SPDX-License-Identifier: GPL-2.0-or-later */
/* log_reader_internal.h - what log_reader.c and log_relabels.c share. For these two only. */
#ifndef RECEIVER_RECORD_LOG_READER_INTERNAL_H
#define RECEIVER_RECORD_LOG_READER_INTERNAL_H

#include <limits.h>
#include <sqlite3.h>

#include "receiver/record/log_reader.h"

struct log_reader {
    sqlite3 *db;
    sqlite3_stmt *lines;    /* the log of one host */
    sqlite3_stmt *relabels; /* what was said about its outages */
    sqlite3_stmt *line_id;  /* the rowid of one line */
    int lock;               /* shared, while the database is open as immutable; else -1 */
    char path[PATH_MAX];
};

/* Fills `error` with what SQLite says, and returns -1. */
int log_reader_fail(const struct log_reader *reader, struct error *error);

/* Copies the origin in this column and the next. */
void log_reader_origin(sqlite3_stmt *stmt, int column, char origin[NAME_LEN_MAX + 1], uint64_t *key);

/* Adds what was said about the outages of a host, and lays it over the log. */
int log_reader_add_relabels(struct log_reader *reader, uint32_t host, struct timeline *timeline, struct error *error);

#endif
