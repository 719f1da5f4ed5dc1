/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fault_disk.c - see fault_disk.h. */
#include "tests/sim/fault_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/sim/random.h"
#include "tests/sim/sim.h"

#define FDS_MAX 4096
#define PATH_LEN_MAX 512
#define PAGE 4096
#define SECTOR 512

/* A file as it was last synced. */
struct image {
    ino_t inode; /* 0: it has no name any more, or will not be found by it */
    uint8_t *bytes;
    size_t len;
    size_t dirty_from, dirty_to; /* what was written since */
    bool mapped;                 /* or anywhere */
};

/* A name as its folder was last synced. */
struct name {
    char path[PATH_LEN_MAX];
    struct image *image;
};

static struct disk {
    char folder[PATH_LEN_MAX];
    size_t folder_len;
    struct sim_random random;
    struct disk_weather weather;
    uint64_t die_after;
    bool dead, partly; /* the call that fails may do a part of its work */
    struct image **images;
    size_t image_count, image_capacity;
    struct name *names;
    size_t name_count, name_capacity;
    struct {
        struct image *image; /* NULL: a folder, or a file that need not survive */
        unsigned part;       /* 0: no file of ours */
        char path[PATH_LEN_MAX];
    } fds[FDS_MAX];
    struct name *torn; /* by the last power cut */
    size_t torn_count, torn_capacity;
    struct disk_counts counts;
    char *lines, *taken;
    size_t lines_len, lines_capacity;
} disk;

void disk_open(const char *folder, uint64_t seed)
{
    disk.folder_len = (size_t)snprintf(disk.folder, sizeof disk.folder, "%s/", folder);
    sim_random_init(&disk.random, seed, 900);
}

void disk_close(void)
{
    for (size_t i = 0; i < disk.image_count; i++) {
        free(disk.images[i]->bytes);
        free(disk.images[i]);
    }
    free(disk.images);
    free(disk.names);
    free(disk.torn);
    free(disk.lines);
    free(disk.taken);
    memset(&disk, 0, sizeof disk);
}

void disk_set_weather(const struct disk_weather *weather)
{
    disk.weather = weather ? *weather : (struct disk_weather){0};
}

void disk_die_after(uint64_t calls)
{
    disk.die_after = calls;
}

void disk_die(void)
{
    disk.dead = true;
}

bool disk_is_dead(void)
{
    return disk.dead;
}

const struct disk_counts *disk_counts(void)
{
    return &disk.counts;
}

/* ---- what is asked ---- */

static unsigned part_of(const char *path)
{
    size_t len = disk.folder_len; /* with the slash, which the folder itself comes without */
    if (len == 0 || strncmp(path, disk.folder, len - 1) != 0 || (path[len - 1] != '/' && path[len - 1] != '\0'))
        return 0;
    if (path[len - 1] == '\0')
        return DISK_DATABASE;
    return strncmp(path + disk.folder_len, "hosts", 5) == 0 ? DISK_RRD : DISK_DATABASE;
}

/* What SQLite makes anew after a crash. */
static bool is_passing(const char *path)
{
    size_t len = strlen(path);
    return len > 4 && strcmp(path + len - 4, "-shm") == 0;
}

static int ask(unsigned part, enum disk_call call)
{
    disk.partly = !disk.dead;
    if (disk.dead)
        return EIO;
    disk.counts.calls++;
    if (disk.die_after > 0 && --disk.die_after == 0) {
        disk.dead = true;
        return call == DISK_MAP ? 0 : EIO; /* a file that is mapped is written without further calls */
    }
    const struct disk_weather *weather = &disk.weather;
    if (!(weather->parts & part) || !(weather->calls & (unsigned)call) ||
        !sim_random_chance(&disk.random, weather->chance))
        return 0;
    disk.counts.failed++;
    return call == DISK_LOCK ? EAGAIN : weather->error;
}

int disk_ask_path(const char *path, enum disk_call call)
{
    unsigned part = part_of(path);
    return part ? ask(part, call) : -1;
}

int disk_ask_fd(int fd, enum disk_call call)
{
    return fd >= 0 && fd < FDS_MAX && disk.fds[fd].part ? ask(disk.fds[fd].part, call) : -1;
}

size_t disk_torn(size_t len)
{
    return disk.partly ? len * (size_t)sim_random_between(&disk.random, 0, 3) / 4 : 0;
}

/* ---- what is noted ---- */

static struct image *image_of(ino_t inode, bool created)
{
    for (size_t i = 0; i < disk.image_count; i++)
        if (disk.images[i]->inode == inode) {
            if (!created)
                return disk.images[i];
            disk.images[i]->inode = 0; /* the number is used again */
        }
    struct image *image = calloc(1, sizeof *image);
    disk.images = sim_grow(disk.images, &disk.image_capacity, disk.image_count, sizeof *disk.images);
    disk.images[disk.image_count++] = image;
    *image = (struct image){.inode = inode, .dirty_to = SIZE_MAX};
    return image;
}

void disk_note_open(int fd, const char *path, bool created)
{
    struct stat info;
    if (fd >= FDS_MAX || fstat(fd, &info) != 0)
        abort();
    disk.fds[fd].part = part_of(path);
    (void)snprintf(disk.fds[fd].path, sizeof disk.fds[fd].path, "%s", path);
    disk.fds[fd].image = S_ISREG(info.st_mode) && !is_passing(path) ? image_of(info.st_ino, created) : NULL;
}

void disk_note_close(int fd)
{
    if (fd >= 0 && fd < FDS_MAX)
        disk.fds[fd].part = 0;
}

void disk_note_write(int fd, off_t from, size_t len)
{
    struct image *image = disk.fds[fd].image;
    size_t begin = (size_t)from, end = begin + len;
    if (!image)
        return;
    if (image->dirty_to == 0 || begin < image->dirty_from)
        image->dirty_from = begin;
    if (end > image->dirty_to)
        image->dirty_to = end;
}

void disk_note_map(int fd)
{
    if (disk.fds[fd].image)
        disk.fds[fd].image->mapped = true;
}

/* The bytes of a file from one place up to another, or to its end. */
static uint8_t *read_file(const char *path, size_t from, size_t to, size_t *len)
{
    struct stat info;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY, 0);
    if (fd < 0 || fstat(fd, &info) != 0)
        abort();
    if ((size_t)info.st_size < to)
        to = (size_t)info.st_size;
    *len = to > from ? to - from : 0;
    uint8_t *bytes = malloc(*len + 1);
    if (!bytes || pread(fd, bytes, *len, (off_t)from) != (ssize_t)*len)
        abort();
    (void)syscall(SYS_close, fd);
    return bytes;
}

static void sync_image(struct image *image, const char *path)
{
    if (!image->mapped && image->dirty_to == 0)
        return;
    struct stat info;
    if (stat(path, &info) != 0)
        return; /* it was removed meanwhile */
    size_t size = (size_t)info.st_size, from = image->mapped ? 0 : image->dirty_from, len = 0;
    if (from > image->len)
        from = image->len;
    uint8_t *bytes = read_file(path, from, image->mapped ? SIZE_MAX : image->dirty_to, &len);
    if (size > image->len && !(image->bytes = realloc(image->bytes, size + 1)))
        abort();
    if (len > 0)
        memcpy(image->bytes + from, bytes, len);
    disk.counts.bytes_synced += len;
    image->len = size;
    image->dirty_from = image->dirty_to = 0;
    image->mapped = false;
    free(bytes);
}

/* ---- names ---- */

typedef void visit_path(const char *path, const struct stat *info, void *context);

static void walk(const char *folder, visit_path *visit, void *context)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)) != NULL) {
        char path[PATH_LEN_MAX];
        struct stat info;
        int len = snprintf(path, sizeof path, "%s%s", folder, entry->d_name);
        if (entry->d_name[0] == '.' || len < 0 || len >= (int)sizeof path - 1 || lstat(path, &info) != 0)
            continue;
        if (S_ISDIR(info.st_mode)) {
            path[len] = '/';
            path[len + 1] = '\0';
            walk(path, visit, context);
        } else if (S_ISREG(info.st_mode) && !is_passing(path)) {
            visit(path, &info, context);
        }
    }
    if (dir)
        (void)closedir(dir);
}

static struct name *find_name(const char *path)
{
    for (size_t i = 0; i < disk.name_count; i++)
        if (strcmp(disk.names[i].path, path) == 0)
            return &disk.names[i];
    return NULL;
}

static void set_name(const char *path, struct image *image)
{
    struct name *name = find_name(path);
    if (!name) {
        disk.names = sim_grow(disk.names, &disk.name_capacity, disk.name_count, sizeof *disk.names);
        name = &disk.names[disk.name_count++];
        (void)snprintf(name->path, sizeof name->path, "%s", path);
    }
    name->image = image;
}

/* A name that is there now; with a folder, only if it lies in it. */
static void keep_name(const char *path, const struct stat *info, void *context)
{
    const char *folder = context;
    size_t len = folder ? strlen(folder) : 0;
    struct image *image = image_of(info->st_ino, false);
    if (!folder)
        sync_image(image, path);
    if (!folder || (strncmp(path, folder, len) == 0 && path[len] == '/' && !strchr(path + len + 1, '/')))
        set_name(path, image);
}

/* Names that are gone are gone for good. */
static void drop_names(const char *folder)
{
    size_t len = folder ? strlen(folder) : 0;
    for (size_t i = disk.name_count; i > 0; i--) {
        const char *path = disk.names[i - 1].path;
        if (access(path, F_OK) != 0 && (!folder || (strncmp(path, folder, len) == 0 && path[len] == '/')))
            disk.names[i - 1] = disk.names[--disk.name_count];
    }
}

static bool is_needed(const struct image *image)
{
    bool needed = false;
    for (size_t i = 0; i < disk.name_count && !needed; i++)
        needed = disk.names[i].image == image;
    for (size_t i = 0; i < FDS_MAX && !needed; i++)
        needed = disk.fds[i].part && disk.fds[i].image == image;
    return needed;
}

static void free_images(void)
{
    for (size_t i = disk.image_count; i > 0; i--) {
        struct image *image = disk.images[i - 1];
        if (is_needed(image))
            continue;
        free(image->bytes);
        free(image);
        disk.images[i - 1] = disk.images[--disk.image_count];
    }
}

void disk_note_sync(int fd, bool everything)
{
    disk.counts.syncs++;
    char *path = disk.fds[fd].path;
    if (disk.fds[fd].image && !everything) {
        sync_image(disk.fds[fd].image, path);
        return;
    }
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        path[--len] = '\0';
    walk(disk.folder, keep_name, everything ? NULL : path);
    drop_names(everything ? NULL : path);
    if (everything)
        free_images();
}

/* ---- the power cut ---- */

static void write_file(const char *path, const uint8_t *bytes, size_t len)
{
    (void)syscall(SYS_unlink, path); /* another file: whoever has the old one open has that */
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
    for (size_t done = 0; done < len;) {
        ssize_t put = (ssize_t)syscall(SYS_write, fd, bytes + done, len - done);
        if (put <= 0)
            abort();
        done += (size_t)put;
    }
    (void)syscall(SYS_close, fd);
}

static void note_torn(const char *path)
{
    disk.torn = sim_grow(disk.torn, &disk.torn_capacity, disk.torn_count, sizeof *disk.torn);
    (void)snprintf(disk.torn[disk.torn_count++].path, PATH_LEN_MAX, "%s", path);
}

bool disk_is_torn(const char *path)
{
    for (size_t i = 0; i < disk.torn_count; i++)
        if (strcmp(disk.torn[i].path, path) == 0)
            return true;
    return false;
}

/* What is left of a file that was this when synced, and is that now. */
static void mix(const char *path, const struct image *image, double lost)
{
    size_t len = 0, piece = part_of(path) == DISK_RRD ? PAGE : SECTOR;
    uint8_t *bytes = read_file(path, 0, SIZE_MAX, &len);
    size_t result_len = sim_random_chance(&disk.random, lost) ? image->len : len;
    uint8_t *result = calloc(1, result_len + 1);
    for (size_t at = 0; at < result_len; at += piece) {
        bool old = sim_random_chance(&disk.random, lost);
        size_t source_len = old ? image->len : len;
        const uint8_t *source = old ? image->bytes : bytes;
        size_t part = result_len - at < piece ? result_len - at : piece;
        if (at < source_len)
            memcpy(result + at, source + at, at + part <= source_len ? part : source_len - at);
        disk.counts.pieces_lost += old;
    }
    write_file(path, result, result_len);
    free(bytes);
    free(result);
}

struct names_now {
    struct name *list;
    size_t count, capacity;
};

static void list_name(const char *path, const struct stat *info, void *context)
{
    struct names_now *now = context;
    now->list = sim_grow(now->list, &now->capacity, now->count, sizeof *now->list);
    struct name *name = &now->list[now->count++];
    (void)snprintf(name->path, sizeof name->path, "%s", path);
    name->image = image_of(info->st_ino, false);
}

static void cut_power(void)
{
    static const double shares[] = {0, 0.5, 1};
    double lost = shares[sim_random_between(&disk.random, 0, 2)];
    struct names_now now = {0};
    disk.counts.power_cuts++;
    disk.torn_count = 0;
    walk(disk.folder, list_name, &now);
    for (size_t i = 0; i < disk.name_count; i++) /* what was removed may be there still */
        if (access(disk.names[i].path, F_OK) != 0 && sim_random_chance(&disk.random, lost))
            write_file(disk.names[i].path, disk.names[i].image->bytes, disk.names[i].image->len);
    for (size_t i = 0; i < now.count; i++) {
        const char *path = now.list[i].path;
        struct image *image = now.list[i].image;
        const struct name *before = find_name(path);
        if (lost > 0 && lost < 1 && (!before || before->image != image || image->mapped || image->dirty_to > 0))
            note_torn(path);
        bool undone = (!before || before->image != image) && sim_random_chance(&disk.random, lost);
        if (undone && before)
            write_file(path, before->image->bytes, before->image->len);
        else if (undone)
            (void)syscall(SYS_unlink, path);
        else if (image->mapped || image->dirty_to > 0)
            mix(path, image, lost);
    }
    free(now.list);
    /* What is there after the cut is there for good. */
    for (size_t i = 0; i < disk.image_count; i++)
        disk.images[i]->inode = 0;
    disk.name_count = 0;
    walk(disk.folder, keep_name, NULL);
}

void disk_revive(bool power_cut)
{
    if (power_cut)
        cut_power();
    disk.dead = false;
    disk.die_after = 0;
}

/* ---- what the program says ---- */

void disk_add_lines(const char *text, size_t len)
{
    if (disk.dead || disk.folder_len == 0)
        return; /* a dead process says nothing */
    while (disk.lines_len + len + 1 > disk.lines_capacity)
        disk.lines = sim_grow(disk.lines, &disk.lines_capacity, disk.lines_capacity, 1);
    memcpy(disk.lines + disk.lines_len, text, len);
    disk.lines_len += len;
    disk.lines[disk.lines_len] = '\0';
}

const char *disk_take_lines(void)
{
    free(disk.taken);
    disk.taken = disk.lines;
    disk.lines = NULL;
    disk.lines_len = disk.lines_capacity = 0;
    return disk.taken ? disk.taken : "";
}
