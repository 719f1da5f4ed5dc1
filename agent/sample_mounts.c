/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_mounts.c - see sample_mounts.h.
 *
 * A line: source, mount point, type, options, 0, 0. Blanks, backslashes and newlines in the first two are written as a
 * backslash and three octal digits. Later lines lie over earlier ones. */
#include "agent/sample_mounts.h"

#include <fnmatch.h>
#include <string.h>

#include "agent/sample_text.h"

static bool is_one_of(struct span word, const char *const *list)
{
    for (; *list; list++)
        if (span_is(word, *list))
            return true;
    return false;
}

/* Whether looking at it may need somebody else: another machine, or a process. */
static bool can_block(struct span type)
{
    static const char *const types[] = {"nfs",   "nfs4",     "cifs",      "smb3",   "smbfs", "ncpfs",  "afs",
                                        "coda",  "ceph",     "glusterfs", "9p",     "gfs2",  "ocfs2",  "virtiofs",
                                        "pvfs2", "orangefs", "lustre",    "beegfs", "gpfs",  "autofs", NULL};
    return is_one_of(type, types) || span_is(type, "fuse") || span_begins(type, "fuse.");
}

/* Images that are full from the start and never change. */
static bool is_image(struct span type)
{
    static const char *const types[] = {"squashfs", "iso9660", "udf", "erofs", "cramfs", "romfs", NULL};
    return is_one_of(type, types);
}

static bool is_octal(char c)
{
    return c >= '0' && c <= '7';
}

/* Copies a path and takes its escapes back. False if it is too long. */
static bool copy_path(char out[MOUNT_DIR_SIZE], struct span path)
{
    size_t len = 0;
    for (size_t i = 0; i < path.len; i++) {
        if (len == MOUNT_DIR_SIZE - 1)
            return false;
        char c = path.at[i];
        if (c == '\\' && path.len - i > 3 && is_octal(path.at[i + 1]) && is_octal(path.at[i + 2]) &&
            is_octal(path.at[i + 3])) {
            c = (char)((path.at[i + 1] - '0') << 6 | (path.at[i + 2] - '0') << 3 | (path.at[i + 3] - '0'));
            i += 3;
        }
        out[len++] = c;
    }
    out[len] = '\0';
    return true;
}

/* Whether a mount at `over` hides `dir`, or is on the way to it. The root hides nothing but a root: what is listed
 * before it was moved there with it. */
static bool hides(const char *over, const char *dir)
{
    size_t len = strlen(over);
    return strcmp(over, dir) == 0 || (strncmp(over, dir, len) == 0 && dir[len] == '/');
}

static void remove_hidden(struct mount_list *list, const char *over)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++)
        if (!hides(over, list->mounts[i].dir))
            list->mounts[kept++] = list->mounts[i];
    list->count = kept;
}

/* Network file systems are not asked for here: mount_list_remove_network does. */
static bool is_wanted(const struct mount_list *list, const struct mount *mount, struct span source, struct span type,
                      char *const *ignore, size_t ignore_count)
{
    bool local = span_begins(source, "/dev/") || span_is(type, "zfs") || mount_is_root(mount);
    if (!local || is_image(type))
        return false;
    for (size_t i = 0; i < ignore_count; i++)
        if (fnmatch(ignore[i], mount->dir, 0) == 0)
            return false;
    for (size_t i = 0; i < list->count && !mount_is_root(mount); i++)
        if (list->mounts[i].source == mount->source)
            return false;
    return list->count < MOUNT_MAX;
}

/* Takes one line apart; `mount` gets the decoded path. */
static bool split_line(struct span *source, struct span *type, struct mount *mount, struct span line)
{
    struct span dir;
    if (!text_next_word(source, &line) || !text_next_word(&dir, &line) || !text_next_word(type, &line))
        return false;
    mount->source = span_hash(*source, SPAN_HASH_START);
    return copy_path(mount->dir, dir);
}

void mount_list_add(struct mount_list *list, const char *text, char *const *ignore, size_t ignore_count)
{
    struct span line, source, type;
    struct mount mount;
    while (text_next_line(&line, &text)) {
        if (!split_line(&source, &type, &mount, line))
            continue;
        remove_hidden(list, mount.dir);
        list->root_told = list->root_told || mount_is_root(&mount);
        if (is_wanted(list, &mount, source, type, ignore, ignore_count))
            list->mounts[list->count++] = mount;
    }
}

void mount_list_add_root(struct mount_list *list, char *const *ignore, size_t ignore_count)
{
    struct mount root = {.source = SPAN_HASH_START, .dir = "/"};
    struct span none = {"", 0};
    if (!list->root_told && is_wanted(list, &root, none, none, ignore, ignore_count))
        list->mounts[list->count++] = root;
}

/* The way to a mount below a network file system leads through it. */
void mount_list_remove_network(struct mount_list *list, const char *text)
{
    struct span line, source, type;
    struct mount mount;
    while (text_next_line(&line, &text))
        if (split_line(&source, &type, &mount, line) && can_block(type))
            remove_hidden(list, mount.dir);
}

bool mount_is_root(const struct mount *mount)
{
    return strcmp(mount->dir, "/") == 0;
}
