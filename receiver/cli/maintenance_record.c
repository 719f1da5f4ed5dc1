/* SPDX-License-Identifier: GPL-2.0-or-later */
/* maintenance_record.c - see maintenance_record.h.
 *
 * The table holds each instant twice: as Unix seconds for people, and on the judging clock for the receiver. That clock
 * stands still in the record while the receiver is stopped; across that time it goes on by the wall clock, as the
 * receiver itself will do at its start. */
#include "receiver/cli/maintenance_record.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>

#include "common/name.h"
#include "common/time.h"
#include "receiver/cli/record_writer.h"

static int64_t instant_of(const struct record_writer *writer, int64_t at)
{
    return writer->alive_ns + (at - writer->alive) * NS_PER_S;
}

static int insert_line(struct record_writer *writer, const char *pattern, int64_t now, int64_t from, int64_t until,
                       const char *reason, json_t *ids, struct error *error)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(writer->db,
                           "INSERT INTO maintenance (pattern, starts, ends, starts_ns, ends_ns, reason, entered)"
                           " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                           -1, &stmt, NULL) != SQLITE_OK)
        return record_writer_fail(writer, error);
    (void)sqlite3_bind_text(stmt, 1, pattern, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(stmt, 2, from);
    (void)sqlite3_bind_int64(stmt, 4, instant_of(writer, from));
    (void)sqlite3_bind_int64(stmt, 7, now);
    if (until) { /* what is not bound is NULL */
        (void)sqlite3_bind_int64(stmt, 3, until);
        (void)sqlite3_bind_int64(stmt, 5, instant_of(writer, until));
    }
    (void)sqlite3_bind_text(stmt, 6, reason, -1, SQLITE_STATIC);
    int rc = sqlite3_step(stmt) == SQLITE_DONE ? 0 : record_writer_fail(writer, error);
    (void)sqlite3_finalize(stmt);
    if (rc == 0)
        (void)json_array_append_new(ids, json_integer(sqlite3_last_insert_rowid(writer->db)));
    return rc;
}

int maintenance_record_add(const struct cli *cli, int64_t from, int64_t until, const char *reason, json_t *ids,
                           struct error *error)
{
    struct record_writer writer;
    if (record_writer_open(&writer, cli->data, error))
        return -1;
    int rc = 0;
    for (size_t i = 0; i < cli->arg_count && rc == 0; i++)
        rc = insert_line(&writer, cli->args[i], cli->now, from, until, reason, ids, error);
    return record_writer_finish(&writer, rc, error);
}

static int end_line(struct record_writer *writer, int64_t id, int64_t now, struct error *error)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(writer->db, "UPDATE maintenance SET ends = ?, ends_ns = ? WHERE id = ?", -1, &stmt, NULL) !=
        SQLITE_OK)
        return record_writer_fail(writer, error);
    (void)sqlite3_bind_int64(stmt, 1, now);
    (void)sqlite3_bind_int64(stmt, 2, instant_of(writer, now));
    (void)sqlite3_bind_int64(stmt, 3, id);
    int rc = sqlite3_step(stmt) == SQLITE_DONE ? 0 : record_writer_fail(writer, error);
    (void)sqlite3_finalize(stmt);
    return rc;
}

int maintenance_record_end(const struct cli *cli, json_t *ended, struct error *error)
{
    struct record_writer writer;
    sqlite3_stmt *stmt = NULL;
    if (record_writer_open(&writer, cli->data, error))
        return -1;
    int rc = 0, step = SQLITE_ERROR;
    if (sqlite3_prepare_v2(writer.db,
                           "SELECT id, pattern FROM maintenance WHERE starts <= ?1 AND (ends IS NULL OR ends > ?1)"
                           " ORDER BY id",
                           -1, &stmt, NULL) == SQLITE_OK) {
        (void)sqlite3_bind_int64(stmt, 1, cli->now);
        while ((step = sqlite3_step(stmt)) == SQLITE_ROW) {
            /* A pattern fits itself: "web*" ends what was started for "web*", and what was started for "web1". */
            if (cli_wants_host(cli, (const char *)sqlite3_column_text(stmt, 1)))
                (void)json_array_append_new(ended, json_integer(sqlite3_column_int64(stmt, 0)));
        }
    }
    if (step != SQLITE_DONE)
        rc = record_writer_fail(&writer, error);
    (void)sqlite3_finalize(stmt);
    for (size_t i = 0; i < json_array_size(ended) && rc == 0; i++)
        rc = end_line(&writer, json_integer_value(json_array_get(ended, i)), cli->now, error);
    return record_writer_finish(&writer, rc, error);
}

/* Takes the line back that begins in the future: on both clocks it ends exactly where it begins. */
static int void_line(struct record_writer *writer, int64_t id, struct error *error)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(writer->db, "UPDATE maintenance SET ends = starts, ends_ns = starts_ns WHERE id = ?", -1,
                           &stmt, NULL) != SQLITE_OK)
        return record_writer_fail(writer, error);
    (void)sqlite3_bind_int64(stmt, 1, id);
    int rc = sqlite3_step(stmt) == SQLITE_DONE ? 0 : record_writer_fail(writer, error);
    (void)sqlite3_finalize(stmt);
    return rc;
}

/* Reads when a line begins and ends (INT64_MAX: open); `starts` stays 0 if there is none. */
static int read_line(struct record_writer *writer, int64_t id, int64_t *starts, int64_t *ends, struct error *error)
{
    char sql[128];
    *starts = *ends = 0;
    (void)snprintf(sql, sizeof sql, "SELECT starts, ifnull(ends, %" PRId64 ") FROM maintenance WHERE id = %" PRId64,
                   INT64_MAX, id);
    return record_writer_query(writer, sql, starts, ends, error);
}

int maintenance_record_cancel(const struct cli *cli, int64_t id, struct error *error)
{
    struct record_writer writer;
    int64_t starts, ends;
    if (record_writer_open(&writer, cli->data, error))
        return CLI_NO_RECORD;
    int code = CLI_OK;
    if (read_line(&writer, id, &starts, &ends, error))
        code = CLI_NO_RECORD;
    else if (starts == 0)
        code = cli_fail(error, CLI_USAGE,
                        "no maintenance has the id %" PRId64 "; `twobeat maintenance list` shows them", id);
    else if (ends <= cli->now || ends <= starts)
        code = cli_fail(error, CLI_USAGE, "maintenance %" PRId64 " is over; what was recorded is not changed", id);
    else if (starts > cli->now ? void_line(&writer, id, error) : end_line(&writer, id, cli->now, error))
        code = CLI_NO_RECORD;
    return record_writer_finish(&writer, code, error) && code == CLI_OK ? CLI_NO_RECORD : code;
}
