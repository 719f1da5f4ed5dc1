/* SPDX-License-Identifier: GPL-2.0-or-later */
/* record_copy.c - see record_copy.h.
 *
 * The database is copied first, into a folder beside, then the RRD files: so these go at least as far as the database says
 * that they do. What they hold beyond does no harm. But the receiver may have made one anew from lines of the log that the
 * copied database does not have; so each state.rrd is compared with the copied log, and made from it if it differs. Then the
 * database is renamed into place. The receiver is neither asked nor held up. */
#include "receiver/record/record_copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/name.h"
#include "receiver/record/log_reader.h"
#include "receiver/record/record_lock.h"
#include "receiver/record/rrd_copy.h"
#include "receiver/record/rrd_store.h"

#define MARK "twobeat-copy"
#define MARK_TEXT "A copy of a record, made by `twobeat copy`, which may overwrite what is here.\n"
#define FILE_MODE 0640
/* In the header of an SQLite database: 2 if it is in WAL mode, as a receiver leaves it. */
#define HEADER_LEN 20
#define HEADER_VERSION_AT 18
#define HEADER_VERSION_WAL 2

struct copy {
    const char *data, *to;
    struct copy_owner owner;
    int mark;                  /* held while the copy is made */
    struct log_reader *source; /* of the original database */
    struct log_reader *log;    /* of the copied one */
    struct rrd_store *store;
    struct log_host *hosts;
    size_t count;
    struct record_copied *done;
};

static int path_format(char path[PATH_MAX], const char *folder, const char *a, const char *b, struct error *error)
{
    int len = snprintf(path, PATH_MAX, "%s/%s%s", folder, a, b);
    return len > 0 && len < PATH_MAX ? 0 : error_set(error, "%.200s...: the path is too long", folder);
}

static bool is_empty(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry = NULL;
    while (folder && (entry = readdir(folder)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            break;
    if (folder)
        (void)closedir(folder);
    return folder && !entry;
}

/* Whether the database of an earlier copy was written by a receiver since: then it is a record of its own. */
static bool was_written(const char *to)
{
    char path[PATH_MAX];
    unsigned char header[HEADER_LEN] = {0};
    if (path_format(path, to, "receiver.db", "", NULL))
        return true;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, header, sizeof header) : -1;
    if (fd >= 0)
        (void)close(fd);
    return got == (ssize_t)sizeof header && header[HEADER_VERSION_AT] == HEADER_VERSION_WAL;
}

/* Marks the folder as a copy, and holds the mark: two copies at once would get in each other's way. Readers need not wait. */
static int hold_mark(struct copy *copy, const char *path, struct error *error)
{
    struct stat st;
    copy->mark = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (copy->mark >= 0 && flock(copy->mark, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return error_set(error, "%s: another copy is being made there right now", copy->to);
    bool fine = copy->mark >= 0 && fstat(copy->mark, &st) == 0 && copy_own(copy->mark, &copy->owner, FILE_MODE) == 0;
    if (fine && st.st_size == 0)
        fine = write(copy->mark, MARK_TEXT, sizeof MARK_TEXT - 1) == (ssize_t)sizeof MARK_TEXT - 1;
    return fine ? 0 : error_set(error, "%s: cannot write: %s", path, strerror(errno));
}

static int fail_written(const char *to, struct error *error)
{
    return error_set(
        error, "%s: a receiver has run on this copy, so it is a record of its own now; name another directory", to);
}

/* Makes sure that nothing of anybody else is overwritten. */
static int prepare_target(struct copy *copy, struct error *error)
{
    struct stat from, to;
    char mark[PATH_MAX];
    if (stat(copy->data, &from) != 0)
        return error_set(error, "%s: cannot read: %s", copy->data, strerror(errno));
    copy->owner = (struct copy_owner){from.st_uid, from.st_gid};
    if (path_format(mark, copy->to, MARK, "", error) || copy_make_folder(copy->to, &copy->owner, error))
        return -1;
    if (stat(copy->to, &to) != 0)
        return error_set(error, "%s: cannot read: %s", copy->to, strerror(errno));
    if (from.st_dev == to.st_dev && from.st_ino == to.st_ino)
        return error_set(error, "%s: is the record itself; name another directory for the copy", copy->to);
    if (access(mark, F_OK) != 0 && !is_empty(copy->to))
        return error_set(error, "%s: is not an empty directory, nor a copy that this command made; name another",
                         copy->to);
    return was_written(copy->to) ? fail_written(copy->to, error) : hold_mark(copy, mark, error);
}

/* Copies the database into TO/new, and opens that. */
static int copy_database(struct copy *copy, struct error *error)
{
    char folder[PATH_MAX], path[PATH_MAX];
    if (path_format(folder, copy->to, "new", "", error) || path_format(path, folder, "receiver.db", "", error) ||
        copy_make_folder(folder, &copy->owner, error))
        return -1;
    (void)unlink(path); /* of a copy that was cut short */
    int rc = log_reader_copy(copy->source, path, error);
    int fd = rc == 0 ? open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (rc == 0 && (fd < 0 || copy_own(fd, &copy->owner, FILE_MODE) != 0))
        rc = error_set(error, "%s: cannot write: %s", path, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    if (rc == 0)
        rc = (copy->log = log_reader_open(folder, error)) ? 0 : -1;
    return rc == 0 ? log_reader_hosts(copy->log, &copy->hosts, &copy->count, error) : rc;
}

/* Makes the copied state.rrd anew from the copied log, unless it agrees with it. */
static int settle_state(struct copy *copy, const struct log_host *host, const char *folder, struct error *error)
{
    char path[PATH_MAX];
    struct timeline log = {0};
    struct error ignored;
    uint64_t differing = 0;
    int64_t first, to = host->changed_from < host->written_to ? host->changed_from : host->written_to;
    if (to <= 0)
        return 0;
    int rc = path_format(path, copy->to, "hosts/", folder, error);
    size_t len = strlen(path);
    if (rc == 0 && len + sizeof "/state.rrd" > sizeof path)
        rc = error_set(error, "%.200s...: the path is too long", path);
    if (rc == 0)
        rc = log_reader_timeline(copy->log, host->id, &log, error);
    if (rc == 0) {
        memcpy(path + len, "/state.rrd", sizeof "/state.rrd");
        if (rrd_store_verify_state(path, &log, to, &differing, &first, &ignored) != 0 || differing > 0) {
            rc = rrd_store_write_state(copy->store, folder, &log, 0, host->written_to, error);
            copy->done->made_anew++;
        }
        int fd = rc == 0 ? open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
        if (fd >= 0 && copy_own(fd, &copy->owner, FILE_MODE) != 0)
            rc = error_set(error, "%s: cannot write: %s", path, strerror(errno));
        if (fd >= 0)
            (void)close(fd);
    }
    timeline_free(&log);
    return rc;
}

/* Copies the files of a host. The folder of one that is being renamed has the one name or the other. */
static int copy_host(struct copy *copy, const struct log_host *host, struct error *error)
{
    char from[PATH_MAX], to[PATH_MAX], other[PATH_MAX];
    const char *folder = host->moved_from[0] ? host->moved_from : host->name;
    if (path_format(from, copy->data, "hosts/", folder, error))
        return -1;
    if (host->moved_from[0] && access(from, F_OK) != 0)
        folder = host->name;
    const char *stale = folder == host->name ? host->moved_from : host->name;
    if (path_format(from, copy->data, "hosts/", folder, error) || path_format(to, copy->to, "hosts/", folder, error) ||
        path_format(other, copy->to, "hosts/", stale, error))
        return -1;
    /* verify reads what it finds under the old name */
    if (host->moved_from[0])
        rrd_copy_remove(other);
    int files = rrd_copy_folder(from, to, &copy->owner, error);
    if (files < 0 || (files == 0 && host->written_to > 0 && copy_make_folder(to, &copy->owner, error)))
        return -1;
    copy->done->hosts++;
    copy->done->files += (size_t)files;
    return settle_state(copy, host, folder, error);
}

static int sync_folder(const char *path, bool whole_system, struct error *error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : whole_system ? syncfs(fd) : fsync(fd);
    if (rc != 0)
        (void)error_set(error, "%s: cannot write: %s", path, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* Renames the database, unless a receiver was started on the copy meanwhile. */
static int rename_database(const struct copy *copy, const char *made, const char *path, struct error *error)
{
    int lock = record_lock_take(copy->to, error);
    if (lock < 0)
        return -1;
    int rc = 0;
    if (was_written(copy->to))
        rc = fail_written(copy->to, error);
    else if (copy_own(lock, &copy->owner, FILE_MODE) != 0 || rename(made, path) != 0)
        rc = error_set(error, "%s: cannot write: %s", path, strerror(errno));
    (void)close(lock);
    return rc;
}

/* Puts the database into its place, once all files have reached the disk. */
static int install_database(const struct copy *copy, struct error *error)
{
    char made[PATH_MAX], path[PATH_MAX], folder[PATH_MAX];
    if (path_format(made, copy->to, "new/receiver.db", "", error) ||
        path_format(path, copy->to, "receiver.db", "", error) || path_format(folder, copy->to, "new", "", error) ||
        sync_folder(copy->to, true, error) || rename_database(copy, made, path, error))
        return -1;
    (void)rmdir(folder);
    return sync_folder(copy->to, false, error);
}

static int by_name(const void *name, const void *host)
{
    return strcmp(name, ((const struct log_host *)host)->name);
}

/* Removes folders of an earlier copy that have other names now. */
static void remove_stale(const struct copy *copy, const char *hosts)
{
    char path[PATH_MAX];
    DIR *folder = opendir(hosts);
    const struct dirent *entry;
    while (folder && (entry = readdir(folder)) != NULL) {
        const char *name = entry->d_name;
        bool is_used = bsearch(name, copy->hosts, copy->count, sizeof *copy->hosts, by_name) != NULL;
        for (size_t i = 0; i < copy->count && !is_used; i++)
            is_used = strcmp(copy->hosts[i].moved_from, name) == 0;
        if (!is_used && name_is_valid(name, strlen(name)) && path_format(path, hosts, name, "", NULL) == 0)
            rrd_copy_remove(path);
    }
    if (folder)
        (void)closedir(folder);
}

static int copy_all(struct copy *copy, struct error *error)
{
    char hosts[PATH_MAX];
    if (copy_database(copy, error) || path_format(hosts, copy->to, "hosts", "", error) ||
        copy_make_folder(hosts, &copy->owner, error))
        return -1;
    copy->store = rrd_store_create(hosts);
    if (!copy->store)
        return error_set(error, "out of memory");
    for (size_t i = 0; i < copy->count; i++)
        if (copy_host(copy, &copy->hosts[i], error))
            return -1;
    remove_stale(copy, hosts);
    return install_database(copy, error);
}

int record_copy(const char *data, const char *to, struct record_copied *done, struct error *error)
{
    struct copy copy = {.data = data, .to = to, .mark = -1, .done = done};
    *done = (struct record_copied){0};
    copy.source = log_reader_open(data, error);
    int rc = copy.source ? prepare_target(&copy, error) : -1;
    if (rc == 0)
        rc = copy_all(&copy, error);
    log_reader_close(copy.source);
    log_reader_close(copy.log);
    rrd_store_destroy(copy.store);
    free(copy.hosts);
    if (copy.mark >= 0)
        (void)close(copy.mark);
    return rc;
}
