/* SPDX-License-Identifier: GPL-2.0-or-later */
/* log_relabels.c - reads what was said about outages, and the months. See log_reader.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "receiver/record/log_reader_internal.h"

/* A word that this program does not know is an error, never a guess. */
static int add_relabel(struct log_reader *reader, struct timeline *timeline, struct error *error)
{
    sqlite3_stmt *stmt = reader->relabels;
    const char *token = (const char *)sqlite3_column_text(stmt, 3);
    const char *reason = (const char *)sqlite3_column_text(stmt, 4);
    int state = state_find(token ? token : "?");
    char empty[] = "";
    struct timeline_relabel relabel = {.id = sqlite3_column_int64(stmt, 0),
                                       .number = (uint32_t)sqlite3_column_int64(stmt, 1),
                                       .to_end = sqlite3_column_int(stmt, 2) != 0,
                                       .entered = sqlite3_column_int64(stmt, 5),
                                       .reason = empty};
    if (state < 0 || state == STATE_LATE)
        return error_set(error, "%s: relabel %lld says \"%s\", which this program does not know", reader->path,
                         (long long)relabel.id, token ? token : "");
    relabel.state = (enum state)state;
    char *copy = reason ? strdup(reason) : NULL; /* the next call of SQLite may take its text back */
    if (copy)
        relabel.reason = copy;
    int rc = timeline_add_relabel(timeline, &relabel);
    free(copy);
    return rc == 0 ? 0 : error_set(error, "out of memory");
}

int log_reader_add_relabels(struct log_reader *reader, uint32_t host, struct timeline *timeline, struct error *error)
{
    int result = 0, rc;
    (void)sqlite3_bind_int64(reader->relabels, 1, (sqlite3_int64)host);
    while ((rc = sqlite3_step(reader->relabels)) == SQLITE_ROW)
        if ((result = add_relabel(reader, timeline, error)) != 0)
            break;
    if (result == 0 && rc != SQLITE_DONE)
        result = log_reader_fail(reader, error);
    (void)sqlite3_reset(reader->relabels);
    if (result == 0)
        timeline_relabel(timeline);
    return result;
}

/* Prepares a query; NULL with `error` set. */
static sqlite3_stmt *query(struct log_reader *reader, const char *sql, struct error *error)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(reader->db, sql, -1, &stmt, NULL) != SQLITE_OK)
        (void)log_reader_fail(reader, error);
    return stmt;
}

int log_reader_find_line(struct log_reader *reader, int64_t id, struct log_line *line, struct error *error)
{
    *line = (struct log_line){0};
    sqlite3_stmt *stmt = query(reader, "SELECT host, number, state FROM transitions WHERE id = ?", error);
    if (!stmt)
        return -1;
    (void)sqlite3_bind_int64(stmt, 1, id);
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        const char *state = (const char *)sqlite3_column_text(stmt, 2);
        line->host = (uint32_t)sqlite3_column_int64(stmt, 0);
        line->number = (uint32_t)sqlite3_column_int64(stmt, 1);
        line->is_up = state && strcmp(state, state_token(STATE_UP)) == 0;
    }
    int result = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : log_reader_fail(reader, error);
    (void)sqlite3_finalize(stmt);
    return result;
}

int log_reader_relabelled(struct log_reader *reader, struct log_relabelled **hosts, size_t *count, struct error *error)
{
    *hosts = NULL;
    *count = 0;
    sqlite3_stmt *stmt = query(reader, "SELECT host, max(position) FROM relabels GROUP BY host", error);
    if (!stmt)
        return -1;
    int result = 0, rc;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct log_relabelled *more = realloc(*hosts, (*count + 1) * sizeof *more);
        if (!more) {
            result = error_set(error, "out of memory");
            break;
        }
        *hosts = more;
        more[(*count)++] =
            (struct log_relabelled){(uint32_t)sqlite3_column_int64(stmt, 0), (uint64_t)sqlite3_column_int64(stmt, 1)};
    }
    if (result == 0 && rc != SQLITE_DONE)
        result = log_reader_fail(reader, error);
    (void)sqlite3_finalize(stmt);
    if (result) {
        free(*hosts);
        *hosts = NULL;
        *count = 0;
    }
    return result;
}

/* Reads the next row into the list. A word that is not known is told where the log is folded. */
static int relabels_append(struct log_relabel **relabels, size_t *count, sqlite3_stmt *stmt)
{
    const char *token = (const char *)sqlite3_column_text(stmt, 3),
               *reason = (const char *)sqlite3_column_text(stmt, 4);
    int state = state_find(token ? token : "?");
    if (state < 0)
        return 0;
    struct log_relabel *more = realloc(*relabels, (*count + 1) * sizeof **relabels);
    if (!more)
        return -1;
    *relabels = more;
    struct log_relabel *relabel = &more[*count];
    *relabel = (struct log_relabel){.host = (uint32_t)sqlite3_column_int64(stmt, 0),
                                    .number = (uint32_t)sqlite3_column_int64(stmt, 1),
                                    .to_end = sqlite3_column_int(stmt, 2) != 0,
                                    .state = (enum state)state,
                                    .reason = strdup(reason ? reason : ""),
                                    .entered = sqlite3_column_int64(stmt, 5),
                                    .from = sqlite3_column_int64(stmt, 6),
                                    .to = sqlite3_column_int64(stmt, 7)};
    if (!relabel->reason)
        return -1;
    log_reader_origin(stmt, 8, relabel->origin, &relabel->origin_key);
    (*count)++;
    return 0;
}

int log_reader_relabels_since(struct log_reader *reader, int64_t entered, struct log_relabel **relabels, size_t *count,
                              struct error *error)
{
    *relabels = NULL;
    *count = 0;
    sqlite3_stmt *stmt = query(reader,
                               "SELECT host, number, to_end, state, reason, entered, from_at, to_at, origin, origin_id"
                               " FROM relabels WHERE entered >= ?1 AND from_at IS NOT NULL ORDER BY id",
                               error);
    if (!stmt)
        return -1;
    (void)sqlite3_bind_int64(stmt, 1, entered);
    int result = 0, rc;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
        if (relabels_append(relabels, count, stmt) != 0) {
            result = error_set(error, "out of memory");
            break;
        }
    if (result == 0 && rc != SQLITE_DONE)
        result = log_reader_fail(reader, error);
    (void)sqlite3_finalize(stmt);
    while (result && *count > 0)
        free((*relabels)[--*count].reason);
    if (result) {
        free(*relabels);
        *relabels = NULL;
    }
    return result;
}

int log_reader_last_month(struct log_reader *reader, uint32_t host, const char *zone, char month[8],
                          struct error *error)
{
    month[0] = '\0';
    sqlite3_stmt *stmt = query(reader, "SELECT max(month) FROM months WHERE host = ?1 AND zone = ?2", error);
    if (!stmt)
        return -1;
    (void)sqlite3_bind_int64(stmt, 1, (sqlite3_int64)host);
    (void)sqlite3_bind_text(stmt, 2, zone, -1, SQLITE_STATIC);
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW && sqlite3_column_type(stmt, 0) == SQLITE_TEXT)
        (void)snprintf(month, 8, "%s", (const char *)sqlite3_column_text(stmt, 0));
    int result = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : log_reader_fail(reader, error);
    (void)sqlite3_finalize(stmt);
    return result;
}
