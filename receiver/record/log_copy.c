/* SPDX-License-Identifier: GPL-2.0-or-later */
/* log_copy.c - a copy of receiver.db, by SQLite's own backup. See log_reader.h.
 *
 * The whole is read in one transaction: a receiver that writes meanwhile is neither seen nor held up. The copy is not in WAL
 * mode, so that whoever reads it, also as another user or from a read-only disk, leaves no file beside it. */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "receiver/record/log_reader.h"
#include "receiver/record/log_reader_internal.h"

#define COPY_MODE 0640
#define BUSY_TRIES 100
#define BUSY_WAIT_MS 50

/* Makes an empty file with exactly this mode, which SQLite keeps. */
static int make_file(const char *path, struct error *error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, COPY_MODE);
    int rc = fd >= 0 ? fchmod(fd, COPY_MODE) : -1;
    if (rc != 0)
        (void)error_set(error, "%s: cannot create: %s", path, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* Returns an SQLite code. */
static int copy_pages(sqlite3 *from, sqlite3 *to)
{
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
    if (!backup)
        return sqlite3_errcode(to);
    int rc = SQLITE_BUSY;
    for (int tries = 0; tries < BUSY_TRIES && (rc == SQLITE_BUSY || rc == SQLITE_LOCKED); tries++) {
        if (tries > 0)
            (void)sqlite3_sleep(BUSY_WAIT_MS);
        rc = sqlite3_backup_step(backup, -1);
    }
    int end = sqlite3_backup_finish(backup);
    if (rc != SQLITE_DONE)
        return rc;
    return end;
}

int log_reader_copy(struct log_reader *reader, const char *path, struct error *error)
{
    sqlite3 *to = NULL;
    if (make_file(path, error) != 0)
        return -1;
    int rc = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE, NULL);
    if (rc == SQLITE_OK)
        rc = copy_pages(reader->db, to);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(to, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        (void)error_set(error, "cannot copy %s to %s: %s", reader->path, path, sqlite3_errstr(rc));
    (void)sqlite3_close(to);
    return rc == SQLITE_OK ? 0 : -1;
}
