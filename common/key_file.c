/* SPDX-License-Identifier: GPL-2.0-or-later */
/* key_file.c - see key_file.h.
 *
 * A secret that others can read is refused, not warned about: a warning in a log changes nothing. Buffers that held a
 * secret are wiped. What a file means is decided in key.c. */
#include "common/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_FILE_MAX 4096 /* a key and whatever comments somebody may add */

int file_check_private(int fd, const char *path, struct error *error)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return error_set(error, "%s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode)) /* before its mode: nobody should be told to close a directory */
        return error_set(error, "%s: is a directory; name the file", path);
    if (st.st_mode & S_IRWXO)
        return error_set(error, "%s: others may use this file (mode %04o); run: chmod o-rwx %s", path,
                         (unsigned)(st.st_mode & 07777), path);
    return 0;
}

/* Reads to the end. Fills `len`, or fails if there are more than `size` bytes. */
static int read_all(int fd, const char *path, char *text, size_t size, size_t *len, struct error *error)
{
    *len = 0;
    for (;;) {
        char surplus;
        size_t room = size - *len;
        ssize_t n = read(fd, room > 0 ? text + *len : &surplus, room > 0 ? room : 1);
        if (n == 0)
            return 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set(error, "%s: cannot read: %s", path, strerror(errno));
        if (room == 0)
            return error_set(error, "%s: longer than %zu bytes; is it the right file?", path, size);
        *len += (size_t)n;
    }
}

int file_read_private(const char *path, char *text, size_t size, struct error *error)
{
    size_t len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(error, "%s: cannot open: %s; check its name, and that user id %u may read it", path,
                         strerror(errno), (unsigned)geteuid());
    int rc = file_check_private(fd, path, error);
    if (rc == 0)
        rc = read_all(fd, path, text, size - 1, &len, error);
    if (rc == 0 && memchr(text, '\0', len))
        rc = error_set(error, "%s: holds a zero byte; it should be a text file", path);
    (void)close(fd);
    if (rc == 0)
        text[len] = '\0';
    else
        sodium_memzero(text, size);
    return rc;
}

int key_site_load(struct key *out, const char *path, struct error *error)
{
    char text[KEY_FILE_MAX];
    int rc = file_read_private(path, text, sizeof text, error);
    if (rc == 0)
        rc = key_site_parse(out, text, path, error);
    sodium_memzero(text, sizeof text);
    return rc;
}

int key_host_load(struct host_key *out, const char *path, struct error *error)
{
    char text[KEY_FILE_MAX];
    int rc = file_read_private(path, text, sizeof text, error);
    if (rc == 0)
        rc = key_host_parse(out, text, path, error);
    sodium_memzero(text, sizeof text);
    return rc;
}

static int write_all(int fd, const char *path, const char *text, size_t len, struct error *error)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set(error, "%s: cannot write: %s", path, strerror(errno));
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

/* The name of a new file is durable only once its directory is. */
static int sync_parent(const char *path, struct error *error)
{
    char copy[PATH_MAX];
    size_t len = strlen(path);
    if (len >= sizeof copy)
        return error_set(error, "%s: the path is too long", path);
    memcpy(copy, path, len + 1);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return 0; /* a directory that may be written but not read: nothing more can be done */
    int rc = fsync(fd);
    if (rc != 0 && errno == EINVAL)
        rc = 0; /* the file system knows no such thing */
    if (rc != 0)
        (void)error_set(error, "%s: cannot make it durable: %s", path, strerror(errno));
    (void)close(fd);
    return rc;
}

int key_file_create(const char *path, const char *text, size_t len, struct error *error)
{
    if (!path || strcmp(path, "-") == 0)
        return write_all(STDOUT_FILENO, "standard output", text, len, error);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0 && errno == EEXIST)
        return error_set(error, "%s: exists already and is not overwritten; name another file", path);
    if (fd < 0)
        return error_set(error, "%s: cannot create: %s", path, strerror(errno));
    int rc = write_all(fd, path, text, len, error);
    if (rc == 0 && fsync(fd) != 0)
        rc = error_set(error, "%s: cannot make it durable: %s", path, strerror(errno));
    if (close(fd) != 0 && rc == 0)
        rc = error_set(error, "%s: cannot write: %s", path, strerror(errno));
    if (rc == 0)
        rc = sync_parent(path, error);
    if (rc != 0)
        (void)unlink(path); /* half a key would only stand in the way of the next try */
    return rc;
}
