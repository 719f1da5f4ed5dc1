/* SPDX-License-Identifier: GPL-2.0-or-later */
/* record_writer.c - see record_writer.h. */
#include "receiver/cli/record_writer.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "receiver/record/record_lock.h"
#include "receiver/record/schema.h"

#define BUSY_TIMEOUT_MS 5000

int record_writer_become_owner(const char *data, struct error *error)
{
    struct stat st;
    if (stat(data, &st) != 0)
        return error_set(error, "%s: %s; name the data directory of a receiver with --data", data, strerror(errno));
    if (geteuid() != 0 || st.st_uid == 0)
        return 0;
    if (setgroups(1, &st.st_gid) != 0 || setegid(st.st_gid) != 0 || seteuid(st.st_uid) != 0)
        return error_set(error, "cannot become user %u, the owner of %s: %s", (unsigned)st.st_uid, data,
                         strerror(errno));
    return 0;
}

int record_writer_fail(const struct record_writer *writer, struct error *error)
{
    return error_set(error, "%s: cannot write: %s", writer->path, sqlite3_errmsg(writer->db));
}

int record_writer_query(struct record_writer *writer, const char *sql, int64_t *first, int64_t *second,
                        struct error *error)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(writer->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        *first = sqlite3_column_int64(stmt, 0);
        *second = sqlite3_column_int64(stmt, 1);
    }
    (void)sqlite3_finalize(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : record_writer_fail(writer, error);
}

void record_writer_close(struct record_writer *writer)
{
    (void)sqlite3_close(writer->db);
    if (writer->lock >= 0)
        (void)close(writer->lock);
}

static int prepare(struct record_writer *writer, const char *data, struct error *error)
{
    int persist = 1;
    int64_t version = 0, unused = 0;
    (void)snprintf(writer->path, sizeof writer->path, "%s/receiver.db", data);
    writer->lock = record_lock_take(data, error);
    if (writer->lock < 0)
        return -1;
    if (sqlite3_open_v2(writer->path, &writer->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        return record_writer_fail(writer, error);
    (void)sqlite3_busy_timeout(writer->db, BUSY_TIMEOUT_MS);
    /* -wal and -shm stay, for readers that cannot create them. */
    (void)sqlite3_file_control(writer->db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
    if (record_writer_query(writer, "PRAGMA user_version", &version, &unused, error))
        return -1;
    if (version != SCHEMA_VERSION)
        return error_set(error, "%s: is of version %d, but this program writes version %d; use the one of the receiver",
                         writer->path, (int)version, SCHEMA_VERSION);
    if (record_writer_query(writer, "SELECT alive, alive_ns FROM runs ORDER BY id DESC LIMIT 1", &writer->alive,
                            &writer->alive_ns, error))
        return -1;
    if (writer->alive == 0)
        return error_set(error, "%s: no receiver ever ran here; start it first", writer->path);
    if (sqlite3_exec(writer->db, "PRAGMA synchronous = FULL; BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return record_writer_fail(writer, error);
    return 0;
}

int record_writer_open(struct record_writer *writer, const char *data, struct error *error)
{
    *writer = (struct record_writer){.lock = -1};
    int rc = prepare(writer, data, error);
    if (rc != 0)
        record_writer_close(writer);
    return rc;
}

int record_writer_commit(struct record_writer *writer, int rc, struct error *error)
{
    if (rc == 0 && sqlite3_exec(writer->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        rc = record_writer_fail(writer, error);
    return rc;
}

int record_writer_finish(struct record_writer *writer, int rc, struct error *error)
{
    rc = record_writer_commit(writer, rc, error);
    record_writer_close(writer);
    return rc;
}
