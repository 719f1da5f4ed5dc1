/* SPDX-License-Identifier: GPL-2.0-or-later */
/* log_reader.c - see log_reader.h.
 *
 * A database in WAL mode is read through receiver.db-wal and -shm. Both stay when the receiver ends, so a reader needs
 * nothing but the right to read. Only a copy (a backup, a file system mounted read-only) may lack them; a reader that
 * cannot create them then opens the file as immutable. That is right only while nobody writes, so the lock is held
 * shared for as long, and only if no -wal holds changes, since immutable overlooks them. */
#include "receiver/record/log_reader.h"

#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "receiver/record/log_reader_internal.h"
#include "receiver/record/record_lock.h"
#include "receiver/record/schema.h"

#define BUSY_TIMEOUT_MS 5000
#define NOWHERE "9223372036854775807" /* INT64_MAX */

int log_reader_fail(const struct log_reader *reader, struct error *error)
{
    return error_set(error, "%s: cannot read: %s", reader->path, sqlite3_errmsg(reader->db));
}

/* Opens, and reads the version: opening alone does not touch the file. Returns an SQLite code. */
static int db_open(struct log_reader *reader, const char *name, int flags, int *version)
{
    sqlite3_stmt *stmt = NULL;
    int persist = 1;
    int rc = sqlite3_open_v2(name, &reader->db, SQLITE_OPEN_READONLY | flags, NULL);
    if (rc == SQLITE_OK) {
        (void)sqlite3_busy_timeout(reader->db, BUSY_TIMEOUT_MS);
        /* A reader that closes last must not take -wal and -shm away from those who cannot create them. */
        (void)sqlite3_file_control(reader->db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
        rc = sqlite3_prepare_v2(reader->db, "PRAGMA user_version", -1, &stmt, NULL);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(stmt);
        if (rc == SQLITE_ROW) {
            *version = sqlite3_column_int(stmt, 0);
            rc = SQLITE_OK;
        }
    }
    (void)sqlite3_finalize(stmt);
    return rc;
}

/* The path as an SQLite URI; what has a meaning there is escaped. Returns -1 if it does not fit. */
static int uri_format(char *out, size_t size, const char *path)
{
    size_t used = (size_t)snprintf(out, size, "file:");
    for (; *path; path++) {
        if (used + sizeof "%XX?immutable=1" > size)
            return -1;
        if (strchr("?#%", *path))
            used += (size_t)snprintf(out + used, size - used, "%%%02X", (unsigned)(unsigned char)*path);
        else
            out[used++] = *path;
    }
    (void)snprintf(out + used, size - used, "?immutable=1");
    return 0;
}

/* The way in when -wal and -shm are missing and cannot be made. */
static int db_open_immutable(struct log_reader *reader, const char *data, int *version, struct error *error)
{
    char wal[PATH_MAX + 8], uri[3 * PATH_MAX];
    struct stat st;
    if (access(reader->path, R_OK) != 0)
        return error_set(error, "%s: cannot read: %s; become a member of its group, or root", reader->path,
                         strerror(errno));
    (void)snprintf(wal, sizeof wal, "%s-wal", reader->path);
    if (stat(wal, &st) == 0 && st.st_size > 0)
        return error_set(error, "%s: holds changes that this user may not bring in; run this as the owner of %s", wal,
                         data);
    struct error why;
    enum record_lock_result lock = record_lock_probe(data, &reader->lock, &why);
    if (lock == RECORD_LOCK_HELD_BY_OTHER)
        return error_set(error, "%s: in use, but %s-shm cannot be opened; run this as root or as the owner of %s",
                         reader->path, reader->path, data);
    if (lock == RECORD_LOCK_UNCLEAR)
        return error_set(error, "%s", why.text);
    (void)sqlite3_close(reader->db);
    reader->db = NULL;
    if (uri_format(uri, sizeof uri, reader->path) != 0)
        return error_set(error, "%s: the path is too long", reader->path);
    if (db_open(reader, uri, SQLITE_OPEN_URI, version) != SQLITE_OK)
        return log_reader_fail(reader, error);
    return 0;
}

static int reader_open(struct log_reader *reader, const char *data, struct error *error)
{
    int version = 0;
    int len = snprintf(reader->path, sizeof reader->path, "%s/receiver.db", data);
    if (len < 0 || (size_t)len >= sizeof reader->path)
        return error_set(error, "%s: the path is too long", data);
    if (access(reader->path, F_OK) != 0)
        return error_set(error, "%s: %s; name the data directory of a receiver with --data", reader->path,
                         strerror(errno));
    int rc = db_open(reader, reader->path, 0, &version);
    if (rc == SQLITE_CANTOPEN || (rc & 0xff) == SQLITE_READONLY) {
        if (db_open_immutable(reader, data, &version, error))
            return -1;
    } else if (rc == SQLITE_NOTADB) {
        return error_set(error, "%s: is not the database of a receiver", reader->path);
    } else if (rc != SQLITE_OK) {
        return log_reader_fail(reader, error);
    }
    if (version != SCHEMA_VERSION)
        return error_set(error, "%s: is of version %d, but this program reads version %d; use the one of the receiver",
                         reader->path, version, SCHEMA_VERSION);
    if (sqlite3_prepare_v2(reader->db,
                           "SELECT number, at, state, cause, earliest, latest, decided, restates FROM transitions"
                           " WHERE host = ? ORDER BY number",
                           -1, &reader->lines, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(reader->db,
                           "SELECT id, number, to_end, state, reason, entered FROM relabels WHERE host = ? ORDER BY id",
                           -1, &reader->relabels, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(reader->db, "SELECT id FROM transitions WHERE host = ? AND number = ?", -1, &reader->line_id,
                           NULL) != SQLITE_OK)
        return log_reader_fail(reader, error);
    return 0;
}

struct log_reader *log_reader_open(const char *data, struct error *error)
{
    struct log_reader *reader = calloc(1, sizeof *reader);
    if (!reader) {
        (void)error_set(error, "out of memory");
        return NULL;
    }
    reader->lock = -1;
    if (reader_open(reader, data, error)) {
        log_reader_close(reader);
        return NULL;
    }
    return reader;
}

void log_reader_close(struct log_reader *reader)
{
    if (!reader)
        return;
    (void)sqlite3_finalize(reader->lines);
    (void)sqlite3_finalize(reader->relabels);
    (void)sqlite3_finalize(reader->line_id);
    (void)sqlite3_close(reader->db);
    if (reader->lock >= 0)
        (void)close(reader->lock);
    free(reader);
}

int log_reader_begin(struct log_reader *reader, struct error *error)
{
    /* BEGIN alone takes no view yet; the first read does. */
    if (sqlite3_exec(reader->db, "BEGIN; SELECT 1 FROM hosts LIMIT 1", NULL, NULL, NULL) == SQLITE_OK)
        return 0;
    (void)log_reader_fail(reader, error);
    log_reader_end(reader);
    return -1;
}

void log_reader_end(struct log_reader *reader)
{
    if (!sqlite3_get_autocommit(reader->db))
        (void)sqlite3_exec(reader->db, "COMMIT", NULL, NULL, NULL);
}

/* Reads the next row into the list, which grows by doubling. */
static int hosts_append(struct log_host **hosts, size_t *count, sqlite3_stmt *stmt)
{
    if ((*count & (*count - 1)) == 0) {
        struct log_host *more = realloc(*hosts, (*count ? 2 * *count : 1) * sizeof **hosts);
        if (!more)
            return -1;
        *hosts = more;
    }
    struct log_host *host = &(*hosts)[(*count)++];
    const char *name = (const char *)sqlite3_column_text(stmt, 1);
    *host = (struct log_host){.id = (uint32_t)sqlite3_column_int64(stmt, 0),
                              .first_at = sqlite3_column_int64(stmt, 2),
                              .written_to = sqlite3_column_int64(stmt, 3),
                              .changed_from = sqlite3_column_int64(stmt, 4),
                              .forgotten = sqlite3_column_int(stmt, 5) != 0,
                              .moved = sqlite3_column_int(stmt, 5) == 2};
    const char *alias = (const char *)sqlite3_column_text(stmt, 6);
    const char *moved_from = (const char *)sqlite3_column_text(stmt, 7);
    (void)snprintf(host->name, sizeof host->name, "%s", name ? name : "");
    (void)snprintf(host->alias, sizeof host->alias, "%s", alias ? alias : "");
    (void)snprintf(host->moved_from, sizeof host->moved_from, "%s", moved_from ? moved_from : "");
    return 0;
}

int log_reader_hosts(struct log_reader *reader, struct log_host **hosts, size_t *count, struct error *error)
{
    sqlite3_stmt *stmt = NULL;
    *hosts = NULL;
    *count = 0;
    int rc = sqlite3_prepare_v2(reader->db,
                                "SELECT id, name, first_at, written_to, min(ifnull(changed_from, " NOWHERE "), "
                                "ifnull(" SCHEMA_UNWRITTEN_FROM ", " NOWHERE ")), "
                                "CASE WHEN to_forget IS NOT NULL THEN 1 ELSE CASE (SELECT cause FROM transitions WHERE "
                                "host = hosts.id ORDER BY number DESC LIMIT 1) WHEN 'forgotten' THEN 1 WHEN 'moved' "
                                "THEN 2 ELSE 0 END END, alias, moved_from "
                                "FROM hosts ORDER BY name",
                                -1, &stmt, NULL);
    if (rc == SQLITE_OK) {
        while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
            if (hosts_append(hosts, count, stmt))
                break;
    }
    int result = 0;
    if (rc == SQLITE_ROW)
        result = error_set(error, "out of memory");
    else if (rc != SQLITE_DONE)
        result = log_reader_fail(reader, error);
    (void)sqlite3_finalize(stmt);
    if (result) {
        free(*hosts);
        *hosts = NULL;
        *count = 0;
    }
    return result;
}

/* One row of `lines` as a line of the log. A word that this program does not know is an error, never a guess. */
static int line_read(const struct log_reader *reader, uint32_t host, struct transition *line, struct error *error)
{
    sqlite3_stmt *stmt = reader->lines;
    const char *state = (const char *)sqlite3_column_text(stmt, 2);
    const char *cause = (const char *)sqlite3_column_text(stmt, 3);
    int state_id = state_find(state ? state : "?"), cause_id = cause_find(cause ? cause : "?");
    uint32_t number = (uint32_t)sqlite3_column_int64(stmt, 0);
    if (state_id < 0 || cause_id < 0 || state_id == STATE_LATE)
        return error_set(error, "%s: line %u of host %u says \"%s\", \"%s\", which this program does not know",
                         reader->path, (unsigned)number, (unsigned)host, state ? state : "", cause ? cause : "");
    *line = (struct transition){.host = host,
                                .number = number,
                                .at = sqlite3_column_int64(stmt, 1),
                                .state = (enum state)state_id,
                                .cause = (enum cause)cause_id,
                                .earliest = sqlite3_column_int64(stmt, 4),
                                .latest = sqlite3_column_int64(stmt, 5),
                                .decided = sqlite3_column_int64(stmt, 6),
                                .restates = (uint32_t)sqlite3_column_int64(stmt, 7)};
    return 0;
}

int log_reader_timeline(struct log_reader *reader, uint32_t host, struct timeline *timeline, struct error *error)
{
    int result = 0, rc;
    (void)sqlite3_bind_int64(reader->lines, 1, (sqlite3_int64)host);
    while ((rc = sqlite3_step(reader->lines)) == SQLITE_ROW) {
        struct transition line;
        if ((result = line_read(reader, host, &line, error)) != 0)
            break;
        if (timeline_add(timeline, &line)) {
            result = error_set(error, "out of memory");
            break;
        }
    }
    if (result == 0 && rc != SQLITE_DONE)
        result = log_reader_fail(reader, error);
    (void)sqlite3_reset(reader->lines);
    return result == 0 ? log_reader_add_relabels(reader, host, timeline, error) : result;
}

int64_t log_reader_line_id(struct log_reader *reader, uint32_t host, uint32_t number)
{
    int64_t id = 0;
    (void)sqlite3_bind_int64(reader->line_id, 1, (sqlite3_int64)host);
    (void)sqlite3_bind_int64(reader->line_id, 2, (sqlite3_int64)number);
    if (sqlite3_step(reader->line_id) == SQLITE_ROW)
        id = sqlite3_column_int64(reader->line_id, 0);
    (void)sqlite3_reset(reader->line_id);
    return id;
}

int log_reader_last_run(struct log_reader *reader, struct log_run *run, struct error *error)
{
    sqlite3_stmt *stmt = NULL;
    *run = (struct log_run){0};
    int rc = sqlite3_prepare_v2(reader->db, "SELECT started, alive, alive_ns, clean FROM runs ORDER BY id DESC LIMIT 1",
                                -1, &stmt, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        *run = (struct log_run){.started = sqlite3_column_int64(stmt, 0),
                                .alive = sqlite3_column_int64(stmt, 1),
                                .alive_ns = sqlite3_column_int64(stmt, 2),
                                .clean = sqlite3_column_int(stmt, 3)};
    }
    int result = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : log_reader_fail(reader, error);
    (void)sqlite3_finalize(stmt);
    return result;
}

void log_window_free(struct log_window *window)
{
    free(window->pattern);
    free(window->reason);
    *window = (struct log_window){0};
}

static char *column_copy(sqlite3_stmt *stmt, int column)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);
    return strdup(text ? text : "");
}

void log_reader_origin(sqlite3_stmt *stmt, int column, char origin[NAME_LEN_MAX + 1], uint64_t *key)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);
    (void)snprintf(origin, NAME_LEN_MAX + 1, "%s", text ? text : "");
    *key = (uint64_t)sqlite3_column_int64(stmt, column + 1);
}

/* Reads the next row into the list, which grows by doubling. -1: out of memory. */
static int windows_append(struct log_window **windows, size_t *count, sqlite3_stmt *stmt)
{
    if ((*count & (*count - 1)) == 0) {
        struct log_window *more = realloc(*windows, (*count ? 2 * *count : 1) * sizeof **windows);
        if (!more)
            return -1;
        *windows = more;
    }
    struct log_window *window = &(*windows)[(*count)++];
    *window = (struct log_window){.id = sqlite3_column_int64(stmt, 0),
                                  .pattern = column_copy(stmt, 1),
                                  .from = sqlite3_column_int64(stmt, 2),
                                  .to = sqlite3_column_int64(stmt, 3),
                                  .reason = column_copy(stmt, 4),
                                  .entered = sqlite3_column_int64(stmt, 5)};
    log_reader_origin(stmt, 6, window->origin, &window->origin_key);
    return window->pattern && window->reason ? 0 : -1;
}

int log_reader_windows(struct log_reader *reader, struct log_window **windows, size_t *count, struct error *error)
{
    sqlite3_stmt *stmt = NULL;
    *windows = NULL;
    *count = 0;
    int result = 0;
    int rc = sqlite3_prepare_v2(reader->db,
                                "SELECT id, pattern, starts, ends, reason, entered, origin, origin_id FROM maintenance"
                                " ORDER BY id",
                                -1, &stmt, NULL);
    if (rc == SQLITE_OK) {
        while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
            if ((result = windows_append(windows, count, stmt)) != 0)
                break;
    }
    if (result)
        (void)error_set(error, "out of memory");
    else if (rc != SQLITE_DONE)
        result = log_reader_fail(reader, error);
    (void)sqlite3_finalize(stmt);
    while (result && *count > 0)
        log_window_free(&(*windows)[--*count]);
    if (result) {
        free(*windows);
        *windows = NULL;
    }
    return result;
}
