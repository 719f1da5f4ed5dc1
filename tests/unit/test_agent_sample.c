/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_agent_sample.c - texts of /proc, as real kernels write them and as they should never be, and what is read from
 * them. A metric that a row does not name must stay NaN. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "agent/sample_disk.h"
#include "agent/sample_load.h"
#include "agent/sample_memory.h"
#include "agent/sample_mounts.h"
#include "agent/sample_net.h"
#include "agent/sample_stat.h"

#define WANT_MAX 8

struct want {
    enum metric metric;
    double value;
};

struct row {
    const char *what;
    const char *text;
    struct want wants[WANT_MAX];
    size_t count;
};

/* Wants of a row, counted. */
#define WANTS(...) {__VA_ARGS__}, sizeof((struct want[]){__VA_ARGS__}) / sizeof(struct want)
#define NOTHING {{0}}, 0

static void clear(double metrics[METRIC_COUNT])
{
    for (int i = 0; i < METRIC_COUNT; i++)
        metrics[i] = (double)NAN;
}

static void check(const double metrics[METRIC_COUNT], const struct row *row)
{
    for (int i = 0; i < METRIC_COUNT; i++) {
        double want = (double)NAN;
        for (size_t k = 0; k < row->count; k++)
            if ((int)row->wants[k].metric == i)
                want = row->wants[k].value;
        if (isnan(want) ? !isnan(metrics[i]) : !(fabs(metrics[i] - want) < 1e-6))
            fail_msg("%s: %s is %f, not %f", row->what, metric_catalogue[i].name, metrics[i], want);
    }
}

/* --- /proc/loadavg ------------------------------------------------------------------------------------------------ */

static void test_load(void **state)
{
    static const struct row rows[] = {
        {"usual", "0.20 0.18 0.12 1/80 11206\n",
         WANTS({METRIC_LOAD1, 0.20}, {METRIC_LOAD5, 0.18}, {METRIC_LOAD15, 0.12}, {METRIC_RUNNING, 1},
               {METRIC_PROCESSES, 80})},
        {"busy", "1024.05 99.99 7.00 300/40961 4194303\n",
         WANTS({METRIC_LOAD1, 1024.05}, {METRIC_LOAD5, 99.99}, {METRIC_LOAD15, 7}, {METRIC_RUNNING, 300},
               {METRIC_PROCESSES, 40961})},
        {"empty", "", NOTHING},
        {"cut in a number", "0.20 0.18 0.12 1/8", NOTHING},
        {"cut early", "0.20 0.1", NOTHING},
        {"no number", "none\n", NOTHING},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double metrics[METRIC_COUNT];
        clear(metrics);
        sample_load(metrics, rows[i].text);
        check(metrics, &rows[i]);
    }
}

/* --- /proc/stat --------------------------------------------------------------------------------------------------- */

static void test_stat(void **state)
{
    static const struct row rows[] = {
        {"two CPUs, 100 ticks a second",
         "cpu  1550 50 1691 198187 410 9 27 8 5 6\ncpu0 460 0 654 99726 13 0 5 2 0 0\ncpu1 1090 0 1037 98461 397 0 21 "
         "7 0 0\n"
         "intr 121097 0 0 33\nctxt 256526\nbtime 1795299265\nprocesses 4176\nprocs_running 1\nprocs_blocked 0\n"
         "softirq 90609 0 12665 4\n",
         WANTS({METRIC_CPU_USER, 800}, {METRIC_CPU_SYSTEM, 863.5}, {METRIC_CPU_IOWAIT, 205}, {METRIC_CPU_STEAL, 4},
               {METRIC_CONTEXT_SWITCHES, 256526}, {METRIC_FORKS, 4176})},
        {"a kernel of 2004 without steal",
         "cpu  100 0 200 300 40 5 6\ncpu0 100 0 200 300 40 5 6\nctxt 7\nprocesses 8\n",
         WANTS({METRIC_CPU_USER, 100}, {METRIC_CPU_SYSTEM, 211}, {METRIC_CPU_IOWAIT, 40}, {METRIC_CPU_STEAL, 0},
               {METRIC_CONTEXT_SWITCHES, 7}, {METRIC_FORKS, 8})},
        {"cut inside the interrupts", "cpu  100 0 0 0 0 0 0 0\ncpu0 100 0 0 0 0 0 0 0\nintr 99 0 0 1",
         WANTS({METRIC_CPU_USER, 100}, {METRIC_CPU_SYSTEM, 0}, {METRIC_CPU_IOWAIT, 0}, {METRIC_CPU_STEAL, 0})},
        {"cut inside a number", "cpu  1 0 0 0 0 0 0 0\ncpu0 1 0 0 0 0 0 0 0\nctxt 2565",
         WANTS({METRIC_CPU_USER, 1}, {METRIC_CPU_SYSTEM, 0}, {METRIC_CPU_IOWAIT, 0}, {METRIC_CPU_STEAL, 0})},
        {"no single CPU", "cpu  100 0 0 0 0 0 0 0\n", NOTHING},
        {"too large a number", "cpu0 1\nctxt 99999999999999999999999\nprocesses 1\n", WANTS({METRIC_FORKS, 1})},
        {"empty", "", NOTHING},
        {"blank lines", "\n \n\nctxt 5\n", WANTS({METRIC_CONTEXT_SWITCHES, 5})},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double metrics[METRIC_COUNT];
        clear(metrics);
        sample_stat(metrics, rows[i].text, 100);
        check(metrics, &rows[i]);
    }
}

static void test_stat_ticks(void **state)
{
    double metrics[METRIC_COUNT];
    (void)state;
    clear(metrics);
    sample_stat(metrics, "cpu  1000 0 0 0 0 0 0 0\ncpu0 1000\n", 250);
    assert_true(fabs(metrics[METRIC_CPU_USER] - 400) < 1e-6);
}

/* --- /proc/meminfo ------------------------------------------------------------------------------------------------ */

static void test_memory(void **state)
{
    static const struct row rows[] = {
        {"usual",
         "MemTotal:       1000 kB\nMemFree:        100 kB\nMemAvailable:    250 kB\nBuffers:  1 kB\nCached: 2 kB\n"
         "SwapCached: 77 kB\nSwapTotal:       400 kB\nSwapFree:        100 kB\nHugePages_Total:       0\n",
         WANTS({METRIC_MEM_TOTAL, 1024000}, {METRIC_MEM_AVAILABLE, 256000}, {METRIC_MEM_USED, 75},
               {METRIC_SWAP_USED, 75})},
        {"no swap", "MemTotal: 1000 kB\nMemAvailable: 1000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
         WANTS({METRIC_MEM_TOTAL, 1024000}, {METRIC_MEM_AVAILABLE, 1024000}, {METRIC_MEM_USED, 0},
               {METRIC_SWAP_USED, 0})},
        {"before 3.14", "MemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 50 kB\nCached: 350 kB\n",
         WANTS({METRIC_MEM_TOTAL, 1024000}, {METRIC_MEM_AVAILABLE, 512000}, {METRIC_MEM_USED, 50})},
        {"more available than there is", "MemTotal: 10 kB\nMemAvailable: 20 kB\n",
         WANTS({METRIC_MEM_TOTAL, 10240}, {METRIC_MEM_AVAILABLE, 20480}, {METRIC_MEM_USED, 0})},
        {"cut", "MemTotal:       1000 kB\nMemAvailable:    25", WANTS({METRIC_MEM_TOTAL, 1024000})},
        {"no number", "MemTotal: many kB\n", NOTHING},
        {"empty", "", NOTHING},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double metrics[METRIC_COUNT];
        clear(metrics);
        sample_memory(metrics, rows[i].text);
        check(metrics, &rows[i]);
    }
}

/* --- Devices ------------------------------------------------------------------------------------------------------ */

/* A filter that wants the names in a list and counts how often it is asked. */
struct names {
    const char *const *wanted;
    unsigned asked;
};

static bool is_in_list(void *context, const char *name)
{
    struct names *names = context;
    names->asked++;
    for (const char *const *at = names->wanted; *at; at++)
        if (strcmp(*at, name) == 0)
            return true;
    return false;
}

static const char *const disk_names[] = {"sda", "nvme0n1", "cciss/c0d0", "xvda1", NULL};

static void test_disk(void **state)
{
    static const struct row rows[] = {
        {"partitions, loop, md and dm count no byte twice",
         "   7       0 loop0 9 0 9 9 9 0 9 9 0 9 9\n   8       0 sda 10 1 100 5 20 2 200 6 0 70 11 0 0 0 0 0 0\n"
         "   8       1 sda1 10 1 100 5 20 2 200 6 0 70 11 0 0 0 0 0 0\n 259       0 nvme0n1 1 0 8 0 2 0 16 0 0 1 1 0 0 "
         "0 0\n"
         "   9       0 md0 9 9 9 9 9 9 9 9 9 9 9\n 253       0 dm-0 9 9 9 9 9 9 9 9 9 9 9\n",
         WANTS({METRIC_DISK_READ, 108 * 512}, {METRIC_DISK_WRITE, 216 * 512}, {METRIC_DISK_OPERATIONS, 33})},
        {"a name like a folder", " 104 0 cciss/c0d0 1 0 1 0 1 0 1 0 0 0 0\n",
         WANTS({METRIC_DISK_READ, 512}, {METRIC_DISK_WRITE, 512}, {METRIC_DISK_OPERATIONS, 2})},
        {"a guest that has only partitions", " 202 1 xvda1 1 0 2 0 3 0 4 0 0 0 0\n",
         WANTS({METRIC_DISK_READ, 1024}, {METRIC_DISK_WRITE, 2048}, {METRIC_DISK_OPERATIONS, 4})},
        {"no disk that counts", " 253 0 dm-0 9 9 9 9 9 9 9 9 9 9 9\n", NOTHING},
        {"a partition line of 2.6.24", "   8 0 sda 10 100 20 200\n", NOTHING},
        {"cut inside a line", "   8       0 sda 10 1 100 5 20 2 200 6 0 7", NOTHING},
        {"empty", "", NOTHING},
        {"nonsense", "sda\n1 2\n\n-1 0 sda 1 1 1 1 1 1 1 1 1 1 1\n", NOTHING},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double metrics[METRIC_COUNT];
        struct disk_state disks = {0};
        struct names names = {.wanted = disk_names};
        struct device_filter filter = {is_in_list, &names};
        clear(metrics);
        sample_disk(metrics, &disks, rows[i].text, 1000, &filter);
        check(metrics, &rows[i]);
    }
}

struct busy_row {
    int64_t now_ms;
    const char *text; /* NULL: none */
    double busiest;
    unsigned asked; /* the filter, in all */
};

/* The busiest disk since the last sample: the states of one run, in order. */
static void test_disk_busiest(void **state)
{
    static const char one[] = " 8 0 sda 0 0 0 0 0 0 0 0 0 1000 0\n 8 1 sda1 0 0 0 0 0 0 0 0 0 1000 0\n";
    static const struct busy_row rows[] = {
        {10000, one, (double)NAN, 2}, /* nothing to compare with */
        {20000, " 8 0 sda 0 0 0 0 0 0 0 0 0 3500 0\n 8 1 sda1 0 0 0 0 0 0 0 0 0 9999 0\n", 25, 2},
        {20000, " 8 0 sda 0 0 0 0 0 0 0 0 0 3500 0\n 8 1 sda1 0 0 0 0 0 0 0 0 0 9999 0\n", (double)NAN,
         2}, /* no time went by */
        {30000, " 8 0 sda 0 0 0 0 0 0 0 0 0 93500 0\n 8 1 sda1 0 0 0 0 0 0 0 0 0 9999 0\n", 100, 2}, /* never more */
        {40000, " 8 0 sda 0 0 0 0 0 0 0 0 0 94500 0\n 8 16 nvme0n1 0 0 0 0 0 0 0 0 0 4294967000 0\n", (double)NAN, 4},
        {50000, " 8 0 sda 0 0 0 0 0 0 0 0 0 95500 0\n 8 16 nvme0n1 0 0 0 0 0 0 0 0 0 4704 0\n", 50, 4}, /* wrapped */
        {60000, "", (double)NAN, 4},
        {70000, " 8 0 sda 0 0 0 0 0 0 0 0 0 95500 0\n", (double)NAN, 5},
        {80000, " 8 0 sda 0 0 0 0 0 0 0 0 0 95500 0\n", 0, 5},
    };
    struct disk_state disks = {0};
    struct names names = {.wanted = disk_names};
    struct device_filter filter = {is_in_list, &names};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double metrics[METRIC_COUNT];
        clear(metrics);
        sample_disk(metrics, &disks, rows[i].text, rows[i].now_ms, &filter);
        double busiest = metrics[METRIC_DISK_BUSIEST];
        if (isnan(rows[i].busiest) ? !isnan(busiest) : !(fabs(busiest - rows[i].busiest) < 1e-6))
            fail_msg("row %zu: %f, not %f", i, busiest, rows[i].busiest);
        if (names.asked != rows[i].asked)
            fail_msg("row %zu: asked %u times, not %u", i, names.asked, rows[i].asked);
    }
}

#define NET_HEAD                                                                                                       \
    "Inter-|   Receive                                                |  Transmit\n"                                   \
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier " \
    "compressed\n"

static const char *const net_names[] = {"eth0", "eth1", "enp3s0f0np0", NULL};

static void test_net(void **state)
{
    static const struct row rows[] = {
        {"two physical ones; bond, bridge, VLAN and guests count nothing twice",
         NET_HEAD "    lo: 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9\n  eth0: 1000 10 1 2 0 0 0 0 500 5 3 4 0 0 0 0\n"
                  "  eth1: 1 1 1 1 0 0 0 0 1 1 1 1 0 0 0 0\n bond0: 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9\n"
                  "eth0.100: 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9\nvnet12: 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9\n",
         WANTS({METRIC_NET_IN, 1001}, {METRIC_NET_OUT, 501}, {METRIC_PACKETS_IN, 11}, {METRIC_PACKETS_OUT, 6},
               {METRIC_NET_ERRORS, 6}, {METRIC_NET_DROPS, 8})},
        {"a container: all but the loopback",
         NET_HEAD "    lo: 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9\nveth7: 100 1 0 0 0 0 0 0 200 2 0 0 0 0 0 0\n",
         WANTS({METRIC_NET_IN, 100}, {METRIC_NET_OUT, 200}, {METRIC_PACKETS_IN, 1}, {METRIC_PACKETS_OUT, 2},
               {METRIC_NET_ERRORS, 0}, {METRIC_NET_DROPS, 0})},
        {"no blank behind the colon; an alias of long ago",
         NET_HEAD
         "eth0:4294967296 10 0 0 0 0 0 0 18446744073709551615 5 0 0 0 0 0 0\neth0:1: 5 5 5 5 5 5 5 5 5 5 5 5 5 5 5 5\n",
         WANTS({METRIC_NET_IN, 4294967296.0}, {METRIC_NET_OUT, 18446744073709551615.0}, {METRIC_PACKETS_IN, 10},
               {METRIC_PACKETS_OUT, 5}, {METRIC_NET_ERRORS, 0}, {METRIC_NET_DROPS, 0})},
        {"only the loopback", NET_HEAD "    lo: 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9\n", NOTHING},
        {"cut inside a line", NET_HEAD "  eth0: 1000 10 0 0 0 0 0 0 500", NOTHING},
        {"a line too short", NET_HEAD "  eth0: 1000 10 0 0 0 0 0 0 500\n", NOTHING},
        {"empty", "", NOTHING},
        {"nonsense", ":\n: 1\n  : 2\neth0\n", NOTHING},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double metrics[METRIC_COUNT];
        struct device_choice choice = {0};
        struct names names = {.wanted = net_names};
        struct device_filter filter = {is_in_list, &names};
        clear(metrics);
        sample_net(metrics, &choice, rows[i].text, &filter, true);
        check(metrics, &rows[i]);
        /* The second time nobody is asked again, and the answer is the same. */
        unsigned asked = names.asked;
        clear(metrics);
        sample_net(metrics, &choice, rows[i].text, &filter, true);
        check(metrics, &rows[i]);
        assert_int_equal(names.asked, asked);
    }
}

/* Interfaces named in the configuration: when there are none of them, nothing else is counted instead. */
static void test_net_named(void **state)
{
    static const struct row none = {"none of the named", NET_HEAD "tun0: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n", NOTHING};
    double metrics[METRIC_COUNT];
    struct device_choice choice = {0};
    struct names names = {.wanted = net_names};
    struct device_filter filter = {is_in_list, &names};
    (void)state;
    clear(metrics);
    sample_net(metrics, &choice, none.text, &filter, false);
    check(metrics, &none);
    sample_net(metrics, &choice,
               NET_HEAD "eth1: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\ntun0: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n", &filter,
               false);
    assert_true(metrics[METRIC_NET_IN] > 0.5 && metrics[METRIC_NET_IN] < 1.5);
}

/* More devices than can be remembered: those behind do not count, and nothing is written past the end. */
static void test_many_devices(void **state)
{
    static char text[(DEVICE_MAX + 100) * 48];
    static const char *const ends[] = {"d0", "d4095", "d4096", "d4150", NULL};
    size_t len = 0;
    double metrics[METRIC_COUNT];
    struct disk_state disks = {0};
    struct names names = {.wanted = ends};
    struct device_filter filter = {is_in_list, &names};
    (void)state;
    for (int i = 0; i < DEVICE_MAX + 100; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "8 %d d%d 1 0 1 0 0 0 0 0 0 0 0\n", i, i);
    clear(metrics);
    sample_disk(metrics, &disks, text, 1, &filter);
    assert_true(fabs(metrics[METRIC_DISK_OPERATIONS] - 2) < 1e-6);
}

static bool split_all(struct span *name, struct span *rest, struct span line)
{
    *name = line;
    *rest = (struct span){line.at + line.len, 0};
    return true;
}

static bool want_all(void *context, const char *name)
{
    (void)context;
    return name != NULL;
}

static void test_device_choice_bounds(void **state)
{
    static char text[2 * (DEVICE_MAX + 100) + 100];
    struct {
        struct device_choice choice;
        uint8_t guard[64];
    } guarded = {.choice = {0}};
    struct device_filter filter = {.is_wanted = want_all};
    (void)state;
    memset(text, 'x', 99); /* a name too long to be asked about */
    text[99] = '\n';
    for (size_t i = 100; i + 1 < sizeof text; i += 2)
        memcpy(text + i, i + 2 < sizeof text ? "d\n" : "d", 2);
    memset(guarded.guard, 0x5a, sizeof guarded.guard);
    assert_false(device_choice_is_current(&guarded.choice, text, split_all));
    device_choice_make(&guarded.choice, text, split_all, &filter);
    assert_true(device_choice_is_current(&guarded.choice, text, split_all));
    assert_int_equal(guarded.choice.count, DEVICE_MAX - 1);
    for (size_t i = 0; i < sizeof guarded.guard; i++)
        assert_int_equal(guarded.guard[i], 0x5a);
    assert_false(device_choice_has(&guarded.choice, 0));
    assert_true(device_choice_has(&guarded.choice, DEVICE_MAX - 1));
    for (size_t i = 0; i < 300; i++)
        assert_false(device_choice_has(&guarded.choice, DEVICE_MAX + i));
}

/* --- /proc/self/mounts -------------------------------------------------------------------------------------------- */

struct mount_row {
    const char *what;
    const char *text;
    const char *dirs; /* those that are looked at, with commas */
};

static void test_mounts(void **state)
{
    static const struct mount_row rows[] = {
        {"usual",
         "sysfs /sys sysfs rw 0 0\nproc /proc proc rw 0 0\nudev /dev devtmpfs rw 0 0\n/dev/sda1 / ext4 rw 0 0\n"
         "tmpfs /run tmpfs rw 0 0\n/dev/sda2 /home xfs rw 0 0\n/dev/mapper/vg-data /data btrfs rw 0 0\n"
         "nas:/export /mnt/nas nfs4 rw 0 0\n//nas/share /mnt/win cifs rw 0 0\nsshfs /mnt/ssh fuse.sshfs rw 0 0\n"
         "/dev/sdb1 /mnt/usb fuseblk rw 0 0\n/dev/loop3 /snap/core squashfs ro 0 0\n/dev/sr0 /cdrom iso9660 ro 0 0\n",
         "/,/home,/data"},
        {"each device once",
         "/dev/sda1 / ext4 rw 0 0\n/dev/sda2 /data ext4 rw 0 0\n/dev/sda2 /srv/www ext4 rw 0 0\n"
         "/dev/sda1 /var/lib/docker ext4 rw 0 0\n",
         "/,/data"},
        {"the root also if its device was seen before", "/dev/sda1 /sysroot xfs rw 0 0\n/dev/sda1 / xfs rw 0 0\n",
         "/sysroot,/"},
        {"root of an initramfs, then the real one", "rootfs / rootfs rw 0 0\n/dev/root / ext4 rw 0 0\n", "/"},
        {"a container", "overlay / overlay rw 0 0\n/dev/vda1 /etc/hosts ext4 rw 0 0\n", "/,/etc/hosts"},
        {"a diskless machine", "nas:/root / nfs rw 0 0\n/dev/sda1 /scratch ext4 rw 0 0\n", "/scratch"},
        {"ZFS", "tank/root / zfs rw 0 0\ntank/home /home zfs rw 0 0\n", "/,/home"},
        {"escapes",
         "/dev/sda1 /my\\040disk ext4 rw 0 0\n/dev/sda2 /back\\134slash\\011 ext4 rw 0 0\n/dev/sda3 /x\\04 ext4 rw 0 "
         "0\n",
         "/my disk,/back\\slash\t,/x\\04"},
        {"a network file system over a local one hides it",
         "/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 /data ext4 rw 0 0\nnas:/d /data nfs rw 0 0\n", "/"},
        {"... and what is below it",
         "/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 /data/a ext4 rw 0 0\nnas:/d /data nfs rw 0 0\n/dev/sdc1 /database ext4 rw "
         "0 0\n",
         "/,/database"},
        {"the way to a local one leads through the network",
         "/dev/sda1 / ext4 rw 0 0\nnas:/d /srv nfs rw 0 0\n/dev/sdb1 /srv/local ext4 rw 0 0\n", "/"},
        {"ignored by pattern",
         "/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 /backup/1 ext4 rw 0 0\n/dev/sdc1 /scratch ext4 rw 0 0\n", "/"},
        {"cut inside a line", "/dev/sda1 / ext4 rw 0 0\n/dev/sdb1 /data ext4", "/"},
        {"short lines", "/dev/sda1\n/dev/sda1 /\n\n", ""},
        {"empty", "", ""},
    };
    static char backup[] = "/backup/*", scratch[] = "/scr?tch";
    static char *const ignore[] = {backup, scratch};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mount_list list;
        char dirs[512] = "";
        size_t len = 0;
        bool by_pattern = strcmp(rows[i].what, "ignored by pattern") == 0;
        sample_mounts(&list, rows[i].text, ignore, by_pattern ? 2 : 0);
        for (size_t k = 0; k < list.count; k++)
            len += (size_t)snprintf(dirs + len, sizeof dirs - len, "%s%s", k ? "," : "", list.mounts[k].dir);
        if (strcmp(dirs, rows[i].dirs) != 0)
            fail_msg("%s: \"%s\", not \"%s\"", rows[i].what, dirs, rows[i].dirs);
    }
}

static void test_mounts_bounds(void **state)
{
    static char text[200 * 400];
    struct mount_list list;
    size_t len = 0;
    char folder[300];
    (void)state;
    memset(folder, 'x', sizeof folder);
    len += (size_t)snprintf(text, sizeof text, "/dev/long /%.*s ext4 rw 0 0\n/dev/fits /%.*s ext4 rw 0 0\n",
                            MOUNT_DIR_SIZE - 1, folder, MOUNT_DIR_SIZE - 2, folder);
    for (int i = 0; i < 200; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "/dev/sd%d /mnt/%d ext4 rw 0 0\n", i, i);
    sample_mounts(&list, text, NULL, 0);
    assert_int_equal(list.count, MOUNT_MAX);
    assert_int_equal(strlen(list.mounts[0].dir), MOUNT_DIR_SIZE - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load),          cmocka_unit_test(test_stat),
        cmocka_unit_test(test_stat_ticks),    cmocka_unit_test(test_memory),
        cmocka_unit_test(test_disk),          cmocka_unit_test(test_disk_busiest),
        cmocka_unit_test(test_net),           cmocka_unit_test(test_net_named),
        cmocka_unit_test(test_many_devices),  cmocka_unit_test(test_mounts),
        cmocka_unit_test(test_mounts_bounds), cmocka_unit_test(test_device_choice_bounds),
    };
    return cmocka_run_group_tests_name("agent sample", tests, NULL, NULL);
}
