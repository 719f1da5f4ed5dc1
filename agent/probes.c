/* SPDX-License-Identifier: GPL-2.0-or-later */
/* probes.c - see probes.h.
 *
 * A file system has a place, and the task of that number. The place stays its own while it is being asked, so that a
 * file system that hangs is remembered and skipped, also when the list of mounts is read anew; and its answer has a
 * place even if it was unmounted meanwhile. The list is read only when the kernel says that it has changed, in pieces,
 * because it can have tens of thousands of lines.
 *
 * Which memory limit stands for the machine: the one at the root of the tree of control groups, /sys/fs/cgroup. On a
 * machine that root has no limit and cannot have one; where it has one, it is that of the container in which the agent
 * runs, and of everything else in there. The agent's own group, deeper in the tree, is never looked at: a unit with
 * MemoryMax limits the agent and not the machine. */
#include "agent/probes.h"

#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "agent/aside.h"
#include "agent/sample_memory.h"
#include "agent/sample_mounts.h"
#include "agent/sensors.h"

#define PIECE_SIZE (64 * 1024)
#define TEXT_SIZE (8 * 1024) /* memory.stat */
#define PATH_SIZE 1024
enum { IGNORED_MAX = 64 }; /* patterns of ignore_filesystems */
#define GROUP_LIMIT_NONE 1e18
#define ROUNDS_FRESH 2 /* an answer as old as that is told no more */

enum task { TASK_TABLE, TASK_SENSORS, TASK_MEMORY, TASK_SAVE, TASK_MOUNT };

enum group_file { GROUP_LIMIT, GROUP_USAGE, GROUP_STAT, GROUP_FILES };

/* An answer, and when it was asked for. */
struct answer {
    unsigned round; /* 0: never */
    double values[2];
};

struct place {
    bool listed; /* it is in the list of mounts */
    bool asking; /* its task is at it */
    struct mount mount;
    struct answer usage; /* percent of space and of inodes */
};

struct probes {
    struct aside *aside;
    int64_t asked_ms;
    bool all_answered; /* when last asked */
    /* Each of these belongs to one task. */
    int mounts_fd;
    char *ignore; /* patterns, each terminated, then an empty one */
    struct mount_list list;
    struct sensors sensors;
    bool is_container;
    int group_fds[GROUP_FILES];
    char path[PATH_SIZE], temporary[PATH_SIZE];

    pthread_mutex_t lock; /* of all below */
    unsigned round;
    char *ignore_next; /* to be taken over */
    bool sensors_due;
    char *totals; /* to be written */
    size_t totals_len;
    struct answer hottest, memory;
    struct place places[MOUNT_MAX];
};

/* --- The tasks, on helper threads ----------------------------------------------------------------------------------- */

static void read_text(int fd, char *text, size_t size)
{
    ssize_t len = pread(fd, text, size - 1, 0);
    text[len > 0 ? len : 0] = '\0';
}

/* Hands the table over in pieces of whole lines. */
static void read_table(struct probes *probes, char *piece, void (*take)(struct probes *probes, const char *text))
{
    size_t len = 0;
    off_t offset = 0;
    ssize_t n;
    while ((n = pread(probes->mounts_fd, piece + len, PIECE_SIZE - 1 - len, offset)) > 0) {
        offset += n;
        len += (size_t)n;
        char *last = memrchr(piece, '\n', len);
        size_t whole = last ? (size_t)(last - piece) + 1 : 0;
        char behind = piece[whole];
        piece[whole] = '\0';
        take(probes, piece);
        piece[whole] = behind;
        len -= whole;
        memmove(piece, piece + whole, len);
        if (len == PIECE_SIZE - 1)
            len = 0; /* a line as long as that cannot be understood anyway */
    }
}

static size_t list_ignored(const struct probes *probes, char *patterns[IGNORED_MAX])
{
    size_t count = 0;
    for (char *at = probes->ignore; at && *at && count < IGNORED_MAX; at += strlen(at) + 1)
        patterns[count++] = at;
    return count;
}

static void take_mounts(struct probes *probes, const char *text)
{
    char *patterns[IGNORED_MAX];
    size_t count = list_ignored(probes, patterns);
    mount_list_add(&probes->list, text, patterns, count);
}

static void take_network_mounts(struct probes *probes, const char *text)
{
    mount_list_remove_network(&probes->list, text);
}

/* Gives each mount in the list a place, its old one if it has one, and has the new ones asked. */
static void place_mounts(struct probes *probes)
{
    bool placed[MOUNT_MAX] = {false};
    for (size_t p = 0; p < MOUNT_MAX; p++) {
        struct place *place = &probes->places[p];
        bool was_used = place->listed || place->asking;
        place->listed = false;
        for (size_t i = 0; i < probes->list.count && was_used && !place->listed; i++) {
            const struct mount *mount = &probes->list.mounts[i];
            if (!placed[i] && mount->source == place->mount.source && strcmp(mount->dir, place->mount.dir) == 0)
                placed[i] = place->listed = true;
        }
    }
    for (size_t i = 0, p = 0; i < probes->list.count; i++) {
        while (!placed[i] && p < MOUNT_MAX && (probes->places[p].listed || probes->places[p].asking))
            p++;
        if (placed[i] || p == MOUNT_MAX)
            continue;
        probes->places[p] = (struct place){.listed = true, .mount = probes->list.mounts[i]};
        aside_ask(probes->aside, TASK_MOUNT + p);
    }
}

static void run_table(struct probes *probes)
{
    struct pollfd changed = {.fd = probes->mounts_fd, .events = POLLPRI};
    (void)pthread_mutex_lock(&probes->lock);
    bool due = probes->ignore_next != NULL;
    if (due) {
        free(probes->ignore);
        probes->ignore = probes->ignore_next;
        probes->ignore_next = NULL;
    }
    (void)pthread_mutex_unlock(&probes->lock);
    if (poll(&changed, 1, 0) <= 0 && !due)
        return;
    char *piece = malloc(PIECE_SIZE);
    if (!piece)
        return;
    char *patterns[IGNORED_MAX];
    probes->list.count = 0;
    probes->list.root_told = false;
    read_table(probes, piece, take_mounts);
    mount_list_add_root(&probes->list, patterns, list_ignored(probes, patterns));
    read_table(probes, piece, take_network_mounts);
    free(piece);
    (void)pthread_mutex_lock(&probes->lock);
    place_mounts(probes);
    (void)pthread_mutex_unlock(&probes->lock);
}

static void run_mount(struct probes *probes, struct place *place)
{
    struct statvfs usage;
    char dir[MOUNT_DIR_SIZE];
    struct answer answer = {.values = {(double)NAN, (double)NAN}};
    (void)pthread_mutex_lock(&probes->lock);
    answer.round = probes->round;
    place->asking = true;
    memcpy(dir, place->mount.dir, sizeof dir);
    (void)pthread_mutex_unlock(&probes->lock);
    if (statvfs(dir, &usage) == 0 && usage.f_blocks > 0) {
        /* As df: of what users can have, root's reserve left out. */
        double used = (double)(usage.f_blocks - usage.f_bfree);
        double size = used + (double)usage.f_bavail;
        answer.values[0] = size > 0 ? used / size * 100 : 100;
        if (usage.f_files > 0)
            answer.values[1] = (double)(usage.f_files - usage.f_ffree) / (double)usage.f_files * 100;
    }
    (void)pthread_mutex_lock(&probes->lock);
    place->asking = false;
    place->usage = answer;
    (void)pthread_mutex_unlock(&probes->lock);
}

static void run_sensors(struct probes *probes)
{
    (void)pthread_mutex_lock(&probes->lock);
    struct answer answer = {.round = probes->round};
    bool lost = probes->sensors_due;
    probes->sensors_due = false;
    (void)pthread_mutex_unlock(&probes->lock);
    if (lost)
        sensors_open(&probes->sensors, SENSORS_ROOT);
    lost = false;
    answer.values[0] = sensors_read(&probes->sensors, &lost);
    (void)pthread_mutex_lock(&probes->lock);
    probes->hottest = answer;
    probes->sensors_due = probes->sensors_due || lost;
    (void)pthread_mutex_unlock(&probes->lock);
}

static void run_memory(struct probes *probes)
{
    char limit[32], usage[32], stat[TEXT_SIZE];
    struct memory_group group;
    struct answer answer = {.values = {(double)INFINITY, (double)INFINITY}};
    (void)pthread_mutex_lock(&probes->lock);
    answer.round = probes->round;
    (void)pthread_mutex_unlock(&probes->lock);
    read_text(probes->group_fds[GROUP_LIMIT], limit, sizeof limit);
    read_text(probes->group_fds[GROUP_USAGE], usage, sizeof usage);
    read_text(probes->group_fds[GROUP_STAT], stat, sizeof stat);
    if (memory_group_parse(&group, limit, usage, stat)) {
        answer.values[0] = group.limit;
        answer.values[1] = group.available;
    }
    (void)pthread_mutex_lock(&probes->lock);
    probes->memory = answer;
    (void)pthread_mutex_unlock(&probes->lock);
}

/* Not made durable: after a crash of the machine the counters begin anew as well. What cannot be written is left. */
static void run_save(struct probes *probes)
{
    (void)pthread_mutex_lock(&probes->lock);
    char *text = probes->totals;
    size_t len = probes->totals_len;
    probes->totals = NULL;
    (void)pthread_mutex_unlock(&probes->lock);
    int fd = open(probes->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        bool complete = text && write(fd, text, len) == (ssize_t)len;
        if (close(fd) == 0 && complete)
            (void)rename(probes->temporary, probes->path);
    }
    free(text);
}

static void run(void *context, size_t task)
{
    struct probes *probes = context;
    switch (task) {
    case TASK_TABLE: run_table(probes); break;
    case TASK_SENSORS: run_sensors(probes); break;
    case TASK_MEMORY: run_memory(probes); break;
    case TASK_SAVE: run_save(probes); break;
    default: run_mount(probes, &probes->places[task - TASK_MOUNT]); break;
    }
}

/* --- The loop's side ------------------------------------------------------------------------------------------------ */

/* The root of version 2 has such files only in a container; that of version 1 always has, but with a limit that is the
 * largest number of pages there can be. Without a container there is nothing to ask later. */
static void open_group(struct probes *probes)
{
    static const char *const paths[2][GROUP_FILES] = {
        {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"},
        {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes",
         "/sys/fs/cgroup/memory/memory.stat"}};
    char limit[32] = "";
    int version = access(paths[0][GROUP_LIMIT], R_OK) == 0 ? 0 : 1;
    for (int i = 0; i < GROUP_FILES; i++)
        probes->group_fds[i] = open(paths[version][i], O_RDONLY | O_CLOEXEC);
    read_text(probes->group_fds[GROUP_LIMIT], limit, sizeof limit);
    probes->is_container = limit[0] != '\0' && (version == 0 || strtod(limit, NULL) < GROUP_LIMIT_NONE);
    for (int i = 0; i < GROUP_FILES && !probes->is_container; i++) {
        if (probes->group_fds[i] >= 0)
            (void)close(probes->group_fds[i]);
        probes->group_fds[i] = -1;
    }
}

bool probes_ignore(struct probes *probes, const struct string_list *ignore_filesystems)
{
    size_t size = 1;
    for (size_t i = 0; i < ignore_filesystems->count; i++)
        size += strlen(ignore_filesystems->items[i]) + 1;
    char *patterns = calloc(1, size);
    if (!patterns)
        return false;
    char *at = patterns;
    for (size_t i = 0; i < ignore_filesystems->count; i++)
        at = stpcpy(at, ignore_filesystems->items[i]) + 1;
    (void)pthread_mutex_lock(&probes->lock);
    free(probes->ignore_next);
    probes->ignore_next = patterns;
    (void)pthread_mutex_unlock(&probes->lock);
    return true;
}

struct probes *probes_create(const struct string_list *ignore_filesystems, const char *totals_path)
{
    struct probes *probes = calloc(1, sizeof *probes);
    if (!probes)
        return NULL;
    (void)pthread_mutex_init(&probes->lock, NULL);
    probes->mounts_fd = open("/proc/self/mounts", O_RDONLY | O_CLOEXEC);
    open_group(probes);
    probes->sensors_due = true;
    (void)snprintf(probes->path, sizeof probes->path, "%s", totals_path);
    (void)snprintf(probes->temporary, sizeof probes->temporary, "%s.new", totals_path);
    probes->aside = aside_create(TASK_MOUNT + MOUNT_MAX, run, probes);
    if (!probes->aside || !probes_ignore(probes, ignore_filesystems)) {
        (void)probes_destroy(probes);
        return NULL;
    }
    return probes;
}

bool probes_destroy(struct probes *probes)
{
    if (!probes)
        return true;
    if (!aside_destroy(probes->aside))
        return false;
    for (int i = 0; i < GROUP_FILES; i++)
        if (probes->group_fds[i] >= 0)
            (void)close(probes->group_fds[i]);
    if (probes->mounts_fd >= 0)
        (void)close(probes->mounts_fd);
    sensors_close(&probes->sensors);
    (void)pthread_mutex_destroy(&probes->lock);
    free(probes->ignore);
    free(probes->ignore_next);
    free(probes->totals);
    free(probes);
    return true;
}

void probes_find_sensors(struct probes *probes)
{
    (void)pthread_mutex_lock(&probes->lock);
    probes->sensors_due = true;
    (void)pthread_mutex_unlock(&probes->lock);
}

void probes_save(struct probes *probes, char *text, size_t len)
{
    (void)pthread_mutex_lock(&probes->lock);
    free(probes->totals);
    probes->totals = text;
    probes->totals_len = len;
    (void)pthread_mutex_unlock(&probes->lock);
}

/* Counted with the time asleep: nothing from before a suspend is told after it. */
static int64_t clock_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Whether the answers that are there will not do. */
static bool is_due(struct probes *probes, int64_t now_ms)
{
    (void)pthread_mutex_lock(&probes->lock);
    bool has_work = probes->ignore_next || probes->sensors_due || probes->totals;
    (void)pthread_mutex_unlock(&probes->lock);
    return has_work || !probes->all_answered || now_ms - probes->asked_ms >= PROBES_AGE_MS;
}

static void ask_all(struct probes *probes)
{
    (void)pthread_mutex_lock(&probes->lock);
    probes->round++;
    if (probes->mounts_fd >= 0)
        aside_ask(probes->aside, TASK_TABLE);
    aside_ask(probes->aside, TASK_SENSORS);
    if (probes->is_container)
        aside_ask(probes->aside, TASK_MEMORY);
    if (probes->totals)
        aside_ask(probes->aside, TASK_SAVE);
    for (size_t i = 0; i < MOUNT_MAX; i++)
        if (probes->places[i].listed)
            aside_ask(probes->aside, TASK_MOUNT + i);
    (void)pthread_mutex_unlock(&probes->lock);
}

static bool is_fresh(const struct probes *probes, const struct answer *answer)
{
    return answer->round != 0 && probes->round - answer->round < ROUNDS_FRESH;
}

/* Takes the larger of two, where NaN is none. */
static void raise_to(double *most, double value)
{
    if (isnan(*most) || value > *most)
        *most = value;
}

bool probes_measure(struct probes *probes, double metrics[METRIC_COUNT])
{
    int64_t now_ms = clock_ms();
    bool due = is_due(probes, now_ms);
    if (due) {
        probes->asked_ms = now_ms;
        ask_all(probes);
        probes->all_answered = aside_wait(probes->aside, PROBES_WAIT_MS);
    }
    (void)pthread_mutex_lock(&probes->lock);
    for (size_t i = 0; i < MOUNT_MAX; i++) {
        const struct place *place = &probes->places[i];
        if (!place->listed || !is_fresh(probes, &place->usage))
            continue;
        if (mount_is_root(&place->mount))
            metrics[METRIC_DISK_ROOT] = place->usage.values[0];
        raise_to(&metrics[METRIC_DISK_FULLEST], place->usage.values[0]);
        raise_to(&metrics[METRIC_INODES_FULLEST], place->usage.values[1]);
    }
    if (is_fresh(probes, &probes->hottest))
        metrics[METRIC_SENSOR_HOTTEST] = probes->hottest.values[0];
    struct memory_group group = {.limit = probes->memory.values[0], .available = probes->memory.values[1]};
    bool fresh = is_fresh(probes, &probes->memory);
    (void)pthread_mutex_unlock(&probes->lock);
    if (fresh) {
        sample_memory_group(metrics, &group);
    } else if (probes->is_container) {
        metrics[METRIC_MEM_TOTAL] = metrics[METRIC_MEM_AVAILABLE] = metrics[METRIC_MEM_USED] = (double)NAN;
    }
    return due;
}
