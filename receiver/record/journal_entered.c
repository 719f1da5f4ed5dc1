/* SPDX-License-Identifier: GPL-2.0-or-later */
/* journal_entered.c - the part of a batch that people entered, here or at a peer: maintenance, and what outages count as. */
#include "receiver/record/journal_internal.h"

/* What was entered here has none. */
static void bind_origin(sqlite3_stmt *stmt, int column, const char *origin, uint64_t key)
{
    if (!*origin)
        return;
    sqlite3_bind_text(stmt, column, origin, -1, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, column + 1, (int64_t)key);
}

int journal_put_windows(struct journal *journal, const struct journal_batch *batch, struct error *error)
{
    for (size_t i = 0; i < batch->window_count; i++) {
        const struct journal_window *w = &batch->windows[i];
        enum statement which = w->is_new ? PUT_WINDOW : END_WINDOW;
        sqlite3_stmt *stmt = journal->statements[which];
        bool open = w->ends == INT64_MAX;
        sqlite3_bind_int64(stmt, 1, w->id);
        if (w->is_new) {
            sqlite3_bind_text(stmt, 2, w->pattern, -1, SQLITE_STATIC);
            sqlite3_bind_int64(stmt, 3, w->starts);
            sqlite3_bind_int64(stmt, 5, w->window.from.ns);
            sqlite3_bind_text(stmt, 7, w->reason, -1, SQLITE_STATIC);
            sqlite3_bind_int64(stmt, 8, w->entered);
            bind_origin(stmt, 9, w->origin, w->origin_key);
        }
        if (!open) {
            sqlite3_bind_int64(stmt, w->is_new ? 4 : 2, w->ends);
            sqlite3_bind_int64(stmt, w->is_new ? 6 : 3, w->window.to.ns);
        }
        if (journal_step(journal, which, error) != 0)
            return -1;
    }
    return 0;
}

int journal_put_relabels(struct journal *journal, const struct journal_batch *batch, struct error *error)
{
    for (size_t i = 0; i < batch->relabel_count; i++) {
        const struct journal_relabel *relabel = &batch->relabels[i];
        sqlite3_stmt *stmt = journal->statements[PUT_RELABEL];
        sqlite3_bind_int64(stmt, 1, relabel->host);
        sqlite3_bind_int64(stmt, 2, relabel->number);
        sqlite3_bind_int(stmt, 3, relabel->to_end);
        sqlite3_bind_text(stmt, 4, state_token(relabel->state), -1, SQLITE_STATIC);
        sqlite3_bind_text(stmt, 5, relabel->reason, -1, SQLITE_STATIC);
        sqlite3_bind_int64(stmt, 6, relabel->entered);
        sqlite3_bind_int64(stmt, 7, (int64_t)relabel->position);
        sqlite3_bind_int64(stmt, 8, relabel->from);
        if (relabel->to != INT64_MAX)
            sqlite3_bind_int64(stmt, 9, relabel->to);
        bind_origin(stmt, 10, relabel->origin, relabel->origin_key);
        if (journal_step(journal, PUT_RELABEL, error) != 0)
            return -1;
    }
    return 0;
}
