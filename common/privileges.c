/* SPDX-License-Identifier: GPL-2.0-or-later */
/* privileges.c - see privileges.h.
 *
 * Whose the data is says who should work on it, so there is no setting to get wrong. Each step is checked, and at the
 * end the way back is tried: a half drop is worse than none, for it looks safe. */
#include "common/privileges.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY_ID 65534 /* of Linux, should the user database have no such entry */

struct identity {
    uid_t uid;
    gid_t gid;
};

/* The owner of `dir`. Neither half may stay root's: the group alone would still open too much. */
static struct identity identity_choose(const char *dir)
{
    struct stat st;
    struct identity id = {NOBODY_ID, NOBODY_ID};
    const struct passwd *nobody = getpwnam("nobody");
    if (nobody && nobody->pw_uid != 0 && nobody->pw_gid != 0)
        id = (struct identity){nobody->pw_uid, nobody->pw_gid};
    if (dir && stat(dir, &st) == 0 && st.st_uid != 0) {
        id.uid = st.st_uid;
        if (st.st_gid != 0)
            id.gid = st.st_gid;
    }
    return id;
}

static bool is_empty(int fd)
{
    int copy = dup(fd);
    DIR *folder = copy >= 0 ? fdopendir(copy) : NULL;
    if (!folder) {
        if (copy >= 0)
            (void)close(copy);
        return false;
    }
    bool empty = true;
    for (const struct dirent *entry; empty && (entry = readdir(folder));)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    (void)closedir(folder);
    return empty;
}

/* A directory that root has just made, with nothing in it, is meant for us. One that holds something is never touched. */
static void take_over_empty(const char *dir, struct identity id)
{
    struct stat st;
    int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && st.st_uid == 0 && is_empty(fd))
        (void)!fchown(fd, id.uid, id.gid); /* if that fails, what is opened in it will tell */
    (void)close(fd);
}

static int become(struct identity id, struct error *error)
{
    if (setgroups(0, NULL) != 0 || setresgid(id.gid, id.gid, id.gid) != 0 || setresuid(id.uid, id.uid, id.uid) != 0)
        return error_set(error, "cannot become user %u, group %u: %s; start as another user instead", (unsigned)id.uid,
                         (unsigned)id.gid, strerror(errno));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return error_set(error, "cannot forbid new privileges: %s", strerror(errno));

    uid_t uids[3];
    gid_t gids[3];
    if (getresuid(&uids[0], &uids[1], &uids[2]) != 0 || getresgid(&gids[0], &gids[1], &gids[2]) != 0)
        return error_set(error, "cannot read the own user and group: %s", strerror(errno));
    for (int i = 0; i < 3; i++)
        if (uids[i] != id.uid || gids[i] != id.gid)
            return error_set(error, "became user %u, but not wholly", (unsigned)id.uid);
    if (setresuid(0, 0, 0) == 0 || setresgid(0, 0, 0) == 0 || setgroups(0, NULL) == 0)
        return error_set(error, "could become root again after dropping to user %u", (unsigned)id.uid);
    return 0;
}

int privileges_drop_to_owner(const char *dir, struct error *error)
{
    if (geteuid() == 0) {
        struct identity id = identity_choose(dir);
        take_over_empty(dir, id);
        if (become(id, error))
            return -1;
    }
    /* After the change of user, which sets what the next line clears. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return error_set(error, "cannot forbid core dumps: %s", strerror(errno));
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0)
        return error_set(error, "cannot forbid core dumps: %s", strerror(errno));
    return 0;
}
