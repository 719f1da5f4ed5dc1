/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sampler_linux.c - see sampler_linux.h.
 *
 * One buffer serves all files in turn; what the texts mean is decided in sample_*.c. The list of mounts is read again
 * only when the kernel says that it changed. Measuring allocates nothing but for that. */
#include "agent/sampler_linux.h"

#include <ctype.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "agent/sample_disk.h"
#include "agent/sample_load.h"
#include "agent/sample_memory.h"
#include "agent/sample_mounts.h"
#include "agent/sample_net.h"
#include "agent/sample_stat.h"

/* /proc/stat has a line for each CPU and a word for each interrupt. Memory that is not written costs nothing. */
#define BUFFER_SIZE (256 * 1024)
#define MOUNTS_SIZE (1024 * 1024)

enum source { LOADAVG, STAT, MEMINFO, DISKSTATS, NET_DEV, MOUNTS, SOURCES };

static const char *const source_paths[SOURCES] = {"/proc/loadavg",   "/proc/stat",    "/proc/meminfo",
                                                  "/proc/diskstats", "/proc/net/dev", "/proc/self/mounts"};

struct sampler {
    int fds[SOURCES]; /* -1: not there */
    long ticks_per_second;
    struct string_list ignore, interfaces;
    struct disk_state disks;
    struct device_choice net;
    struct mount_list mounts;
    char *buffer;
};

/* Reads a file from its start and terminates the text; "" if that fails. What does not fit is cut off. */
static void read_text(int fd, char *text, size_t size)
{
    size_t len = 0;
    ssize_t n;
    /* The kernel hands out some tables in pieces, and nothing at the end. */
    while (fd >= 0 && len < size - 1 && (n = pread(fd, text + len, size - 1 - len, (off_t)len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
}

static const char *read_source(struct sampler *sampler, enum source source)
{
    read_text(sampler->fds[source], sampler->buffer, BUFFER_SIZE);
    return sampler->buffer;
}

static void read_mounts(struct sampler *sampler)
{
    char *text = malloc(MOUNTS_SIZE);
    if (!text)
        return;
    read_text(sampler->fds[MOUNTS], text, MOUNTS_SIZE);
    sample_mounts(&sampler->mounts, text, sampler->ignore.items, sampler->ignore.count);
    free(text);
}

/* Whether the kernel knows a device behind this name, as /sys/CLASS/NAME/device. */
static bool has_device(const char *class, const char *name)
{
    char path[64 + DEVICE_NAME_SIZE];
    if (snprintf(path, sizeof path, "/sys/%s/%s/device", class, name) >= (int)sizeof path)
        return false;
    for (char *at = path + strlen("/sys/") + strlen(class) + 1; at < path + strlen(path) - strlen("/device"); at++)
        if (*at == '/') /* some drivers name disks like folders */
            *at = '!';
    return access(path, F_OK) == 0;
}

static bool is_physical_disk(void *context, const char *name)
{
    (void)context;
    return has_device("block", name);
}

static bool is_counted_interface(void *context, const char *name)
{
    const struct sampler *sampler = context;
    for (size_t i = 0; i < sampler->interfaces.count; i++)
        if (strcmp(name, sampler->interfaces.items[i]) == 0)
            return true;
    return sampler->interfaces.count == 0 && has_device("class/net", name);
}

/* Takes the larger of two, where NaN is none. */
static void raise_to(double *most, double value)
{
    if (isnan(*most) || value > *most)
        *most = value;
}

static void measure_mounts(struct sampler *sampler, double metrics[METRIC_COUNT])
{
    struct pollfd changed = {.fd = sampler->fds[MOUNTS], .events = POLLPRI};
    if (poll(&changed, 1, 0) > 0)
        read_mounts(sampler);
    for (size_t i = 0; i < sampler->mounts.count; i++) {
        struct statvfs usage;
        if (statvfs(sampler->mounts.mounts[i].dir, &usage) != 0 || usage.f_blocks == 0)
            continue;
        /* As df: of what users can have, root's reserve left out. */
        double used = (double)(usage.f_blocks - usage.f_bfree);
        double size = used + (double)usage.f_bavail;
        double percent = size > 0 ? used / size * 100 : 100;
        if (mount_is_root(&sampler->mounts.mounts[i]))
            metrics[METRIC_DISK_ROOT] = percent;
        raise_to(&metrics[METRIC_DISK_FULLEST], percent);
        if (usage.f_files > 0)
            raise_to(&metrics[METRIC_INODES_FULLEST],
                     (double)(usage.f_files - usage.f_ffree) / (double)usage.f_files * 100);
    }
}

void sampler_measure(struct sampler *sampler, double metrics[METRIC_COUNT])
{
    struct device_filter disks = {.is_wanted = is_physical_disk};
    struct device_filter interfaces = {.is_wanted = is_counted_interface, .context = sampler};
    struct timespec now;
    for (int i = 0; i < METRIC_COUNT; i++)
        metrics[i] = (double)NAN;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    sample_load(metrics, read_source(sampler, LOADAVG));
    sample_stat(metrics, read_source(sampler, STAT), sampler->ticks_per_second);
    sample_memory(metrics, read_source(sampler, MEMINFO));
    sample_disk(metrics, &sampler->disks, read_source(sampler, DISKSTATS),
                (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, &disks);
    sample_net(metrics, &sampler->net, read_source(sampler, NET_DEV), &interfaces, sampler->interfaces.count == 0);
    measure_mounts(sampler, metrics);
}

struct sampler *sampler_create(const struct string_list *ignore_filesystems, const struct string_list *interfaces)
{
    struct sampler *sampler = calloc(1, sizeof *sampler);
    if (!sampler)
        return NULL;
    sampler->buffer = malloc(BUFFER_SIZE);
    if (!sampler->buffer) {
        free(sampler);
        return NULL;
    }
    sampler->ticks_per_second = sysconf(_SC_CLK_TCK);
    sampler->ignore = *ignore_filesystems;
    sampler->interfaces = *interfaces;
    for (int i = 0; i < SOURCES; i++)
        sampler->fds[i] = open(source_paths[i], O_RDONLY | O_CLOEXEC);
    read_mounts(sampler);
    return sampler;
}

void sampler_destroy(struct sampler *sampler)
{
    if (!sampler)
        return;
    for (int i = 0; i < SOURCES; i++)
        if (sampler->fds[i] >= 0)
            (void)close(sampler->fds[i]);
    free(sampler->buffer);
    free(sampler);
}

bool sampler_boot_id(uint8_t out[BOOT_ID_LEN])
{
    char text[64];
    size_t digits = 0;
    memset(out, 0, BOOT_ID_LEN);
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    read_text(fd, text, sizeof text);
    (void)close(fd);
    for (const char *at = text; *at && digits < 2 * BOOT_ID_LEN; at++) {
        if (!isxdigit((unsigned char)*at))
            continue;
        unsigned digit = (unsigned)(*at <= '9' ? *at - '0' : (*at | 0x20) - 'a' + 10);
        out[digits / 2] = (uint8_t)((unsigned)out[digits / 2] << 4 | digit);
        digits++;
    }
    return digits == 2 * BOOT_ID_LEN;
}
