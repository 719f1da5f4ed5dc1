/* SPDX-License-Identifier: GPL-2.0-or-later */
/* journal_load.c - brings a fresh core to where the run before stopped: what is known outright first (labels, absences, windows),
 * then every host as of its checkpoint, then the facts since. */
#include <errno.h>
#include <string.h>

#include "receiver/record/journal_internal.h"
#include "receiver/record/schema.h"

typedef int row_reader(sqlite3_stmt *stmt, void *context);

/* Hands every row to `read`; a non-zero return is told as damage, unless memory ran out. */
static int read_rows(struct journal *journal, const char *sql, row_reader *read, void *context, struct error *error)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(journal->db, sql, -1, &stmt, NULL) != SQLITE_OK)
        return journal_fail(journal, "read", error);
    int rc;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        errno = 0;
        if (read(stmt, context) != 0) {
            bool no_memory = errno == ENOMEM || sqlite3_errcode(journal->db) == SQLITE_NOMEM;
            int64_t row = sqlite3_column_int64(stmt, 0);
            sqlite3_finalize(stmt);
            if (no_memory)
                return error_set(error, "cannot read %s: out of memory", journal->path);
            return error_set(error, "%s is damaged: row %lld of \"%s\" makes no sense; restore it from a copy",
                             journal->path, (long long)row, sql);
        }
    }
    sqlite3_finalize(stmt);
    return rc == SQLITE_DONE ? 0 : journal_fail(journal, "read", error);
}

struct loading {
    struct receiver *receiver;
    struct journal_start *start;
};

static int read_run(sqlite3_stmt *stmt, void *context)
{
    struct loading *loading = context;
    struct journal_start *start = loading->start;
    if (sqlite3_column_bytes(stmt, 1) != BOOT_ID_LEN)
        return -1;
    memcpy(start->boot_id, sqlite3_column_blob(stmt, 1), BOOT_ID_LEN);
    start->has_run = true;
    start->started_ns = sqlite3_column_int64(stmt, 3);
    start->boottime_ns = sqlite3_column_int64(stmt, 4);
    start->alive.ns = sqlite3_column_int64(stmt, 5);
    start->clean = sqlite3_column_int(stmt, 6) != 0;
    start->alive_wall = labels_of(receiver_labels(loading->receiver), start->alive);
    return 0;
}

static int read_label(sqlite3_stmt *stmt, void *context)
{
    struct loading *loading = context;
    struct label_part part = {.from = {sqlite3_column_int64(stmt, 1)},
                              .offset_ns = sqlite3_column_int64(stmt, 2),
                              .base = {sqlite3_column_int64(stmt, 3)},
                              .slow = sqlite3_column_int(stmt, 4) != 0};
    return receiver_load_label(loading->receiver, &part);
}

static int read_absence(sqlite3_stmt *stmt, void *context)
{
    struct loading *loading = context;
    int cause = cause_find((const char *)sqlite3_column_text(stmt, 3));
    if (cause < 0)
        return -1;
    struct absence absence = {.from = {sqlite3_column_int64(stmt, 1)}, .to = INSTANT_NEVER, .cause = (enum cause)cause};
    if (sqlite3_column_type(stmt, 2) != SQLITE_NULL)
        absence.to.ns = sqlite3_column_int64(stmt, 2);
    return receiver_load_absence(loading->receiver, &absence);
}

static int read_window(sqlite3_stmt *stmt, void *context)
{
    struct loading *loading = context;
    struct window window = {{sqlite3_column_int64(stmt, 2)}, INSTANT_NEVER};
    if (sqlite3_column_type(stmt, 3) != SQLITE_NULL)
        window.to.ns = sqlite3_column_int64(stmt, 3);
    loading->start->last_window_id = sqlite3_column_int64(stmt, 0);
    return receiver_load_window(loading->receiver, sqlite3_column_int64(stmt, 0),
                                (const char *)sqlite3_column_text(stmt, 1), window);
}

static int read_host(sqlite3_stmt *stmt, void *context)
{
    struct loading *loading = context;
    int64_t id = sqlite3_column_int64(stmt, 0);
    if (id < 1 || id > INT32_MAX || !sqlite3_column_text(stmt, 1))
        return -1;
    if (receiver_load_host(loading->receiver, (uint32_t)id, (const char *)sqlite3_column_text(stmt, 1),
                           sqlite3_column_blob(stmt, 2), (size_t)sqlite3_column_bytes(stmt, 2),
                           (uint64_t)sqlite3_column_int64(stmt, 3)) != 0)
        return -1;
    return receiver_load_names(loading->receiver, (uint32_t)id, (const char *)sqlite3_column_text(stmt, 4),
                               (const char *)sqlite3_column_text(stmt, 5));
}

static int read_line_count(sqlite3_stmt *stmt, void *context)
{
    struct loading *loading = context;
    receiver_load_lines(loading->receiver, (uint32_t)sqlite3_column_int64(stmt, 0),
                        (uint32_t)sqlite3_column_int64(stmt, 1));
    if (sqlite3_column_type(stmt, 2) != SQLITE_NULL)
        receiver_load_change(loading->receiver, (uint32_t)sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 2));
    return 0;
}

static int read_forgotten(sqlite3_stmt *stmt, void *context)
{
    struct loading *loading = context;
    receiver_load_forgotten(loading->receiver, (uint32_t)sqlite3_column_int64(stmt, 0));
    return 0;
}

static int read_facts(sqlite3_stmt *stmt, void *context)
{
    struct loading *loading = context;
    return receiver_replay(loading->receiver, sqlite3_column_blob(stmt, 1), (size_t)sqlite3_column_bytes(stmt, 1),
                           (uint64_t)sqlite3_column_int64(stmt, 0));
}

int journal_load(struct journal *journal, struct receiver *receiver, struct journal_start *start, struct error *error)
{
    memset(start, 0, sizeof *start);
    struct loading loading = {receiver, start};
    static const struct {
        const char *sql;
        row_reader *read;
    } steps[] = {
        {"SELECT id, from_ns, offset_ns, base_ns, slow FROM "
         "(SELECT * FROM labels ORDER BY id DESC LIMIT 256) ORDER BY id", /* LABELS_MAX */
         read_label},
        {"SELECT id, boot_id, started, started_ns, boottime_ns, alive_ns, clean FROM runs ORDER BY id DESC LIMIT 1",
         read_run},
        /* Of those that the journal tells, the core learns in their turn; the limit is RECEIVER_ABSENCES_LOADED. */
        {"SELECT id, started_ns, ended_ns, cause FROM (SELECT * FROM absences "
         "WHERE position < ifnull((SELECT min(position) FROM journal), position + 1) "
         "ORDER BY id DESC LIMIT 101) ORDER BY id",
         read_absence},
        {"SELECT id, pattern, starts_ns, ends_ns FROM maintenance ORDER BY id", read_window},
        {"SELECT id, name, checkpoint, position, alias, moved_from FROM hosts ORDER BY id", read_host},
        {"SELECT position, facts FROM journal ORDER BY position", read_facts},
        {"SELECT id, ifnull((SELECT max(number) FROM transitions WHERE host = hosts.id), 0), " SCHEMA_UNWRITTEN_FROM
         " FROM hosts",
         read_line_count},
        {"SELECT id FROM hosts WHERE to_forget IS NOT NULL", read_forgotten},
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (read_rows(journal, steps[i].sql, steps[i].read, &loading, error) != 0)
            return -1;
    return receiver_has_failed(receiver) ? error_set(error, "out of memory") : 0;
}
