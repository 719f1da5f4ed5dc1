/* SPDX-License-Identifier: GPL-2.0-or-later */
/* journal_internal.h - what journal.c and journal_entered.c (writing) and journal_load.c share. For these only. */
#ifndef RECEIVER_RECORD_JOURNAL_INTERNAL_H
#define RECEIVER_RECORD_JOURNAL_INTERNAL_H

#include <sqlite3.h>

#include "receiver/record/journal.h"

enum statement {
    PUT_FACTS,
    PUT_LINE,
    PUT_HOST,
    PUT_NAMES,
    PUT_CHECKPOINT,
    PUT_WINDOW,
    END_WINDOW,
    PUT_RELABEL,
    PUT_MONTH,
    PUT_ABSENCE,
    PUT_LABEL,
    MOVE_WINDOW,
    PUT_MARK,
    TRIM,
    STATEMENT_COUNT
};

struct journal {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    char *path;
    int64_t run;
    bool synced;
    bool began; /* the first batch of this run is stored */
};

/* Fills `error` with what SQLite says, and returns -1. */
int journal_fail(const struct journal *journal, const char *what, struct error *error);
/* Runs a statement whose values are bound, and makes it ready for the next ones. */
int journal_step(struct journal *journal, enum statement which, struct error *error);

int journal_put_windows(struct journal *journal, const struct journal_batch *batch, struct error *error);
int journal_put_relabels(struct journal *journal, const struct journal_batch *batch, struct error *error);

#endif
