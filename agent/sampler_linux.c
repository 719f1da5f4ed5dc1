/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sampler_linux.c - see sampler_linux.h.
 *
 * One buffer serves all files in turn; what the texts mean is decided in sample_*.c, and which devices count in
 * devices.c. Memory is allocated and the disk written only when devices come or go or the list of mounts changes.
 *
 * System calls to measure, by strace -f -c on a machine with one disk, one file system and no sensors: 10 pread; and
 * when the helper is asked (probes.h) 1 pread more, 1 poll, 1 statfs, and about 7 futex between the loop and it. Each
 * further file system costs one statfs, each sensor one pread, a container three pread, and tables of more than a page
 * one pread for each page. */
#include "agent/sampler_linux.h"

#include <ctype.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/devices.h"
#include "agent/probes.h"
#include "agent/sample_disk.h"
#include "agent/sample_kernel.h"
#include "agent/sample_load.h"
#include "agent/sample_memory.h"
#include "agent/sample_net.h"
#include "agent/sample_stat.h"
#include "agent/sample_totals.h"

/* /proc/stat has a line for each CPU and a word for each interrupt. Memory that is not written costs nothing. */
#define BUFFER_SIZE (1024 * 1024)
#define LINE_SIZE 128 /* three numbers */
#define PATH_SIZE 1024

enum source { LOADAVG, STAT, MEMINFO, DISKSTATS, NET_DEV, NET_SNMP, FILE_NR, PRESSURE_MEMORY, PRESSURE_IO, SOURCES };

static const char *const source_paths[SOURCES] = {
    [LOADAVG] = "/proc/loadavg",        [STAT] = "/proc/stat",
    [MEMINFO] = "/proc/meminfo",        [DISKSTATS] = "/proc/diskstats",
    [NET_DEV] = "/proc/net/dev",        [NET_SNMP] = "/proc/net/snmp",
    [FILE_NR] = "/proc/sys/fs/file-nr", [PRESSURE_MEMORY] = "/proc/pressure/memory",
    [PRESSURE_IO] = "/proc/pressure/io"};

struct sampler {
    int fds[SOURCES]; /* -1: not there */
    long ticks_per_second;
    struct string_list interfaces;
    char boot[TOTALS_BOOT_SIZE];
    struct cpu_state cpu;
    struct disk_state disks;
    struct device_table net;
    struct probes *probes;
    double connections; /* as last counted */
    char *buffer;
};

/* Reads a file from its start and terminates the text; "" if that fails. What does not fit is cut off. */
static void read_text(int fd, char *text, size_t size)
{
    size_t len = 0;
    ssize_t n;
    /* The kernel hands out tables of devices in pieces, and nothing at the end. */
    while (fd >= 0 && len < size - 1 && (n = pread(fd, text + len, size - 1 - len, (off_t)len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
}

static const char *read_table(struct sampler *sampler, enum source source)
{
    read_text(sampler->fds[source], sampler->buffer, BUFFER_SIZE);
    return sampler->buffer;
}

/* A file that the kernel hands out whole, if there is room. For those below /proc/sys it first makes and clears a buffer
 * of the size that was asked for: a megabyte would cost more than any other file. */
static const char *read_whole(struct sampler *sampler, enum source source)
{
    int fd = sampler->fds[source];
    size_t size = source == FILE_NR ? LINE_SIZE : BUFFER_SIZE;
    ssize_t len = fd >= 0 ? pread(fd, sampler->buffer, size - 1, 0) : 0;
    sampler->buffer[len > 0 ? len : 0] = '\0';
    return sampler->buffer;
}

static struct totals totals_of(struct sampler *sampler)
{
    struct totals totals = {.cpu = &sampler->cpu, .disks = &sampler->disks.table, .interfaces = &sampler->net};
    memcpy(totals.boot, sampler->boot, sizeof totals.boot);
    return totals;
}

/* Has the totals noted if another run could not find them without. Without memory, the next beat tries again. */
static void save_changes(struct sampler *sampler)
{
    bool *changes[] = {&sampler->cpu.changed, &sampler->disks.table.changed, &sampler->net.changed};
    if (sampler->disks.table.changed || sampler->net.changed)
        probes_find_sensors(sampler->probes);
    else if (!sampler->cpu.changed)
        return;
    struct totals totals = totals_of(sampler);
    size_t size = totals_size(&totals);
    char *text = malloc(size);
    if (!text)
        return;
    probes_save(sampler->probes, text, totals_print(&totals, text, size));
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++)
        *changes[i] = false;
}

void sampler_measure(struct sampler *sampler, double metrics[METRIC_COUNT])
{
    struct device_filter disks = {.identify = devices_identify_disk};
    struct device_filter physical = {.identify = devices_identify_physical_interface};
    struct device_filter lower = {.identify = devices_identify_lower_interface};
    struct device_filter named = {.identify = devices_identify_named_interface, .context = &sampler->interfaces};
    bool any = sampler->interfaces.count == 0;
    struct timespec now;
    for (int i = 0; i < METRIC_COUNT; i++)
        metrics[i] = (double)NAN;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    sample_load(metrics, read_whole(sampler, LOADAVG));
    sample_stat(metrics, &sampler->cpu, read_whole(sampler, STAT), sampler->ticks_per_second);
    sample_memory(metrics, read_whole(sampler, MEMINFO));
    sample_disk(metrics, &sampler->disks, read_table(sampler, DISKSTATS),
                (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, &disks);
    sample_net(metrics, &sampler->net, read_table(sampler, NET_DEV), any ? &physical : &named, any ? &lower : NULL);
    sample_file_handles(metrics, read_whole(sampler, FILE_NR));
    sample_pressure(&metrics[METRIC_PRESSURE_MEMORY], read_whole(sampler, PRESSURE_MEMORY));
    sample_pressure(&metrics[METRIC_PRESSURE_IO], read_whole(sampler, PRESSURE_IO));
    save_changes(sampler);
    /* For the number of connections the kernel sums up all that it counts of the network: so not at each beat. */
    if (probes_measure(sampler->probes, metrics)) {
        sample_tcp(metrics, read_whole(sampler, NET_SNMP));
        sampler->connections = metrics[METRIC_TCP_ESTABLISHED];
    }
    metrics[METRIC_TCP_ESTABLISHED] = sampler->connections;
}

/* Takes over what an earlier run on this boot has noted. */
static void load_totals(struct sampler *sampler, const char *path)
{
    struct totals totals = totals_of(sampler);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return;
    read_text(fd, sampler->buffer, BUFFER_SIZE);
    (void)close(fd);
    (void)totals_parse(&totals, sampler->buffer);
}

struct sampler *sampler_create(const struct string_list *ignore_filesystems, const struct string_list *interfaces,
                               const char *state_dir)
{
    char path[PATH_SIZE];
    uint8_t boot[BOOT_ID_LEN];
    struct sampler *sampler = calloc(1, sizeof *sampler);
    if (!sampler)
        return NULL;
    (void)snprintf(path, sizeof path, "%s/totals", state_dir);
    for (int i = 0; i < SOURCES; i++)
        sampler->fds[i] = open(source_paths[i], O_RDONLY | O_CLOEXEC);
    sampler->ticks_per_second = sysconf(_SC_CLK_TCK);
    sampler->interfaces = *interfaces;
    sampler->buffer = malloc(BUFFER_SIZE);
    sampler->probes = probes_create(ignore_filesystems, path);
    if (!sampler->buffer || !sampler->probes) {
        (void)sampler_destroy(sampler);
        return NULL;
    }
    (void)sampler_boot_id(boot);
    for (size_t i = 0; i < sizeof boot; i++)
        (void)snprintf(sampler->boot + 2 * i, sizeof sampler->boot - 2 * i, "%02x", boot[i]);
    load_totals(sampler, path);
    return sampler;
}

bool sampler_change(struct sampler *sampler, const struct string_list *ignore_filesystems,
                    const struct string_list *interfaces)
{
    sampler->interfaces = *interfaces;
    device_table_reconsider(&sampler->net);
    return probes_ignore(sampler->probes, ignore_filesystems);
}

bool sampler_destroy(struct sampler *sampler)
{
    if (!sampler)
        return true;
    bool ended = probes_destroy(sampler->probes);
    for (int i = 0; i < SOURCES; i++)
        if (sampler->fds[i] >= 0)
            (void)close(sampler->fds[i]);
    free(sampler->buffer);
    free(sampler);
    return ended;
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
