/* SPDX-License-Identifier: GPL-2.0-or-later */
/* metric.h - the one catalogue of what a heartbeat measures.
 *
 * Agent, receiver, command line and manual all read this table. The order is the order on the wire and may only be
 * appended to: an older peer skips the tail it does not know, a newer one reads the missing tail as NaN.
 * Counters travel as ever-growing totals; the receiver turns two of them into a rate, so that a lost beat loses
 * nothing. Names are also the data source names in metrics.rrd, hence at most 19 characters of [a-z0-9_]. */
#ifndef COMMON_METRIC_H
#define COMMON_METRIC_H

#include <stddef.h>

enum metric_kind {
    METRIC_GAUGE,  /* true at the due instant */
    METRIC_COUNTER /* total since boot; shown and recorded as its growth per second */
};

/*    id               name               kind     unit (of what is shown)   meaning */
/* clang-format off */
#define METRIC_TABLE(X)                                                                                                \
    X(LOAD1,           "load1",           GAUGE,   "tasks",       "load average over 1 minute")                        \
    X(LOAD5,           "load5",           GAUGE,   "tasks",       "load average over 5 minutes")                       \
    X(LOAD15,          "load15",          GAUGE,   "tasks",       "load average over 15 minutes")                      \
    X(CPU_USER,        "cpu_user",        COUNTER, "%",           "CPU time in user mode, nice included, of all CPUs") \
    X(CPU_SYSTEM,      "cpu_system",      COUNTER, "%",           "CPU time in the kernel, interrupts included")       \
    X(CPU_IOWAIT,      "cpu_iowait",      COUNTER, "%",           "CPU time idle while waiting for disks")             \
    X(CPU_STEAL,       "cpu_steal",       COUNTER, "%",           "CPU time taken by the hypervisor")                  \
    X(PROCESSES,       "processes",       GAUGE,   "tasks",       "processes and threads that exist")                  \
    X(RUNNING,         "running",         GAUGE,   "tasks",       "processes and threads that run or could run")       \
    X(FORKS,           "forks",           COUNTER, "1/s",         "processes and threads started")                     \
    X(CONTEXT_SWITCHES, "context_switches", COUNTER, "1/s",       "context switches")                                  \
    X(MEM_TOTAL,       "mem_total",       GAUGE,   "bytes",       "memory the kernel manages")                         \
    X(MEM_AVAILABLE,   "mem_available",   GAUGE,   "bytes",       "memory available without swapping")                 \
    X(MEM_USED,        "mem_used",        GAUGE,   "%",           "memory not available, of the total")                \
    X(SWAP_USED,       "swap_used",       GAUGE,   "%",           "swap in use; 0 without swap")                       \
    X(DISK_ROOT,       "disk_root",       GAUGE,   "%",           "root file system in use")                           \
    X(DISK_FULLEST,    "disk_fullest",    GAUGE,   "%",           "fullest local file system in use")                  \
    X(INODES_FULLEST,  "inodes_fullest",  GAUGE,   "%",           "inodes in use where they are scarcest")             \
    X(DISK_READ,       "disk_read",       COUNTER, "bytes/s",     "read from disks")                                   \
    X(DISK_WRITE,      "disk_write",      COUNTER, "bytes/s",     "written to disks")                                  \
    X(DISK_OPERATIONS, "disk_operations", COUNTER, "1/s",         "reads and writes completed by disks")               \
    X(DISK_BUSIEST,    "disk_busiest",    GAUGE,   "%",           "time the busiest disk was busy since the last beat") \
    X(NET_IN,          "net_in",          COUNTER, "bytes/s",     "received by physical interfaces")                   \
    X(NET_OUT,         "net_out",         COUNTER, "bytes/s",     "sent by physical interfaces")                       \
    X(PACKETS_IN,      "packets_in",      COUNTER, "1/s",         "packets received")                                  \
    X(PACKETS_OUT,     "packets_out",     COUNTER, "1/s",         "packets sent")                                      \
    X(NET_ERRORS,      "net_errors",      COUNTER, "1/s",         "packets received or sent in error")                 \
    X(NET_DROPS,       "net_drops",       COUNTER, "1/s",         "packets dropped on the way in or out")              \
    X(TCP_ESTABLISHED, "tcp_established", GAUGE,   "connections", "established TCP connections")                       \
    X(FILE_HANDLES,    "file_handles",    GAUGE,   "files",       "open file handles")                                 \
    X(UPTIME,          "uptime",          GAUGE,   "s",           "time since boot, suspend included")                 \
    X(PRESSURE_MEMORY, "pressure_memory", COUNTER, "%",           "time in which some task waited for memory")         \
    X(PRESSURE_IO,     "pressure_io",     COUNTER, "%",           "time in which some task waited for disks")          \
    X(SENSOR_HOTTEST,  "sensor_hottest",  GAUGE,   "Celsius",     "hottest temperature sensor")

enum metric {
#define METRIC_ID(id, name, kind, unit, meaning) METRIC_##id,
    METRIC_TABLE(METRIC_ID)
#undef METRIC_ID
    METRIC_COUNT
};
/* clang-format on */

struct metric_info {
    const char *name;
    enum metric_kind kind;
    const char *unit;
    const char *meaning;
};

extern const struct metric_info metric_catalogue[METRIC_COUNT];

/* The index of the metric of that name, or -1. */
int metric_find(const char *name);

#endif
