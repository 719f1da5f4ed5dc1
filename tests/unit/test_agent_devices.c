/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_agent_devices.c - disks and interfaces: which lines count, and that totals hold what moved and nothing else,
 * whatever comes and goes, also over a restart of the agent. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "agent/sample_disk.h"
#include "agent/sample_net.h"
#include "agent/sample_totals.h"
#include "tests/unit/metric_rows.h"

/* Large, hence not on the stack. */
static struct disk_state disks;
static struct device_table table;

/* A filter that wants the names in a list and counts how often it is asked. */
struct names {
    const char *const *wanted;
    unsigned asked;
};

static uint64_t identify_in_list(void *context, const char *name)
{
    struct names *names = context;
    names->asked++;
    for (const char *const *at = names->wanted; *at; at++)
        if (strcmp(*at, name) == 0)
            return 1 + (uint64_t)(at - names->wanted);
    return 0;
}

static uint64_t identify_all_but_loopback(void *context, const char *name)
{
    (void)context;
    return strcmp(name, "lo") == 0 ? 0 : span_hash((struct span){name, strlen(name)}, SPAN_HASH_START);
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
        memset(&disks, 0, sizeof disks);
        struct names names = {.wanted = disk_names};
        struct device_filter filter = {identify_in_list, &names};
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
        {20000, " 8 0 sda 0 0 0 0 0 0 0 0 0 3500 0\n 8 1 sda1 0 0 0 0 0 0 0 0 0 9999 0\n", 25, 4}, /* looked at again */
        {20000, " 8 0 sda 0 0 0 0 0 0 0 0 0 3500 0\n 8 1 sda1 0 0 0 0 0 0 0 0 0 9999 0\n", (double)NAN,
         4}, /* no time went by */
        {30000, " 8 0 sda 0 0 0 0 0 0 0 0 0 93500 0\n 8 1 sda1 0 0 0 0 0 0 0 0 0 9999 0\n", 100, 4}, /* never more */
        {40000, " 8 0 sda 0 0 0 0 0 0 0 0 0 94500 0\n 8 16 nvme0n1 0 0 0 0 0 0 0 0 0 4294967000 0\n", 10, 6},
        {50000, " 8 0 sda 0 0 0 0 0 0 0 0 0 95500 0\n 8 16 nvme0n1 0 0 0 0 0 0 0 0 0 4704 0\n", 50, 8}, /* wrapped */
        {60000, "", (double)NAN, 8}, /* could not be read */
        {70000, " 8 0 sda 0 0 0 0 0 0 0 0 0 97500 0\n", 10, 9},
        {80000, " 8 0 sda 0 0 0 0 0 0 0 0 0 97500 0\n", 0, 10},
        {90000, " 8 0 sda 0 0 0 0 0 0 0 0 0 97500 0\n", 0, 10},
    };
    memset(&disks, 0, sizeof disks);
    struct names names = {.wanted = disk_names};
    struct device_filter filter = {identify_in_list, &names};
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

static const struct device_filter otherwise = {.identify = identify_all_but_loopback};

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
        memset(&table, 0, sizeof table);
        struct names names = {.wanted = net_names};
        struct device_filter filter = {identify_in_list, &names};
        clear(metrics);
        sample_net(metrics, &table, rows[i].text, &filter, &otherwise);
        check(metrics, &rows[i]);
        /* The answer stays the same, and from the third time on nobody is asked again. */
        clear(metrics);
        sample_net(metrics, &table, rows[i].text, &filter, &otherwise);
        check(metrics, &rows[i]);
        unsigned asked = names.asked;
        clear(metrics);
        sample_net(metrics, &table, rows[i].text, &filter, &otherwise);
        check(metrics, &rows[i]);
        assert_int_equal(names.asked, asked);
    }
}

/* Interfaces named in the configuration: when there are none of them, nothing else is counted instead. */
static void test_net_named(void **state)
{
    static const struct row none = {"none of the named", NET_HEAD "tun0: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n", NOTHING};
    double metrics[METRIC_COUNT];
    memset(&table, 0, sizeof table);
    struct names names = {.wanted = net_names};
    struct device_filter filter = {identify_in_list, &names};
    (void)state;
    clear(metrics);
    sample_net(metrics, &table, none.text, &filter, NULL);
    check(metrics, &none);
    sample_net(metrics, &table,
               NET_HEAD "eth1: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\ntun0: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n", &filter,
               NULL);
    assert_true(metrics[METRIC_NET_IN] > 0.5 && metrics[METRIC_NET_IN] < 1.5);
}

/* More devices than can be remembered: those behind do not count, and nothing is written past the end. */
static void test_many_devices(void **state)
{
    static char text[(DEVICE_LINE_MAX + 100) * 48];
    static const char *const ends[] = {"d0", "d8191", "d8192", "d8250", NULL};
    size_t len = 0;
    double metrics[METRIC_COUNT];
    memset(&disks, 0, sizeof disks);
    struct names names = {.wanted = ends};
    struct device_filter filter = {identify_in_list, &names};
    (void)state;
    for (int i = 0; i < DEVICE_LINE_MAX + 100; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "8 %d d%d 1 0 1 0 0 0 0 0 0 0 0\n", i, i);
    clear(metrics);
    sample_disk(metrics, &disks, text, 1, &filter);
    assert_true(fabs(metrics[METRIC_DISK_OPERATIONS] - 2) < 1e-6);
}

/* --- Devices that come and go --------------------------------------------------------------------------------------- */

/* One device: a name, the id it has, and its only counter. */
struct device_state {
    const char *name;
    uint64_t id, counter;
};

struct step {
    const char *what;
    struct device_state devices[4];
    double total;
    bool saves;
};

static const struct device_state *present; /* what the kernel would tell now */

static uint64_t identify_present(void *context, const char *name)
{
    (void)context;
    for (const struct device_state *at = present; at->name; at++)
        if (strcmp(at->name, name) == 0)
            return at->id;
    return 0;
}

static double measure_step(struct device_table *to, const struct step *step)
{
    char text[1024];
    double metrics[METRIC_COUNT];
    struct device_filter filter = {.identify = identify_present};
    size_t len = (size_t)snprintf(text, sizeof text, "%s", NET_HEAD);
    present = step->devices;
    for (const struct device_state *at = present; at->name; at++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s: %llu 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n", at->name,
                                (unsigned long long)at->counter);
    clear(metrics);
    sample_net(metrics, to, text, &filter, NULL);
    return metrics[METRIC_NET_IN];
}

static const struct step steps[] = {
    {"the counters since the boot", {{"eth0", 2, 5000}, {"eth1", 3, 100}}, 5100, true},
    {"growth", {{"eth0", 2, 5010}, {"eth1", 3, 105}}, 5115, false},
    {"one with an old counter", {{"eth0", 2, 5020}, {"eth1", 3, 105}, {"eth2", 9, 7000000}}, 5125, true},
    {"grows", {{"eth0", 2, 5020}, {"eth1", 3, 105}, {"eth2", 9, 7000003}}, 5128, false},
    {"renamed", {{"eth0", 2, 5020}, {"eth1", 3, 105}, {"wan", 9, 7000005}}, 5130, false},
    {"names swapped", {{"eth1", 2, 5021}, {"eth0", 3, 106}, {"wan", 9, 7000005}}, 5132, false},
    {"one goes", {{"eth0", 3, 108}, {"wan", 9, 7000005}}, 5134, true},
    {"another of its name comes", {{"eth1", 10, 1}, {"eth0", 3, 108}, {"wan", 9, 7000005}}, 5134, true},
    {"and grows", {{"eth1", 10, 101}, {"eth0", 3, 108}, {"wan", 9, 7000005}}, 5234, false},
    {"a driver begins anew", {{"eth1", 10, 101}, {"eth0", 3, 108}, {"wan", 9, 30}}, 5234, true},
    {"and on", {{"eth1", 10, 101}, {"eth0", 3, 108}, {"wan", 9, 37}}, 5241, false},
    {"back by a little", {{"eth1", 10, 90}, {"eth0", 3, 108}, {"wan", 9, 37}}, 5241, false},
    {"forth again", {{"eth1", 10, 105}, {"eth0", 3, 108}, {"wan", 9, 37}}, 5245, false},
    {"none", {{NULL, 0, 0}}, 5245, true},
    {"all are back", {{"eth1", 10, 200}, {"eth0", 3, 300}, {"wan", 9, 400}}, 5245, true},
    {"and grow", {{"eth1", 10, 201}, {"eth0", 3, 301}, {"wan", 9, 401}}, 5248, false},
};
#define STEP_COUNT (sizeof steps / sizeof steps[0])

static void test_steps(void **state)
{
    (void)state;
    memset(&table, 0, sizeof table);
    for (size_t i = 0; i < STEP_COUNT; i++) {
        double total = measure_step(&table, &steps[i]);
        if (!(fabs(total - steps[i].total) < 1e-6))
            fail_msg("%s: %f, not %f", steps[i].what, total, steps[i].total);
        if (table.changed != steps[i].saves)
            fail_msg("%s: to be saved or not", steps[i].what);
        table.changed = false;
    }
}

static char saved[(DEVICE_MAX + 8) * 192];

static void save(struct cpu_state *cpu, struct device_table *disk_table, struct device_table *net_table)
{
    struct totals totals = {"0123456789abcdef0123456789abcdef", cpu, disk_table, net_table};
    assert_true(totals_size(&totals) <= sizeof saved);
    size_t len = totals_print(&totals, saved, sizeof saved);
    assert_int_equal(len, strlen(saved));
    assert_true(len < totals_size(&totals));
}

/* Another run of the agent starts at each step, from what was saved at the last step that asked for it: it tells the
 * same total. */
static void test_restart(void **state)
{
    static struct device_table other, none;
    (void)state;
    memset(&table, 0, sizeof table);
    for (size_t i = 0; i < STEP_COUNT; i++) {
        struct cpu_state cpu = {0};
        struct totals totals = {"0123456789abcdef0123456789abcdef", &cpu, &none, &other};
        double total = measure_step(&table, &steps[i]);
        if (table.changed)
            save(&cpu, &none, &table);
        table.changed = false;
        /* The saved text lacks that it was waited for a counter which went back a little. */
        if (strcmp(steps[i].what, "back by a little") == 0)
            continue;
        memset(&other, 0, sizeof other);
        assert_true(totals_parse(&totals, saved));
        double again = measure_step(&other, &steps[i]);
        if (!(fabs(again - total) < 1e-6))
            fail_msg("%s: %f after a restart, not %f", steps[i].what, again, total);
    }
}

/* What is cut off, of another boot or nonsense is not taken, and leaves nothing behind. */
static void test_totals_refused(void **state)
{
    static const char *const nonsense[] = {
        "",
        "end\n",
        "boot 0123456789abcdef0123456789abcdef\n",
        "boot 0123456789abcdef0123456789abcdee\nend\n",
        "boot 0123456789abcdef0123456789abcdef\ndisk 1 2 3 4 5 6 7\nend\n",
        "boot 0123456789abcdef0123456789abcdef\ncpu 0 1 2 3 4 5 6 7 8\nend\n",
        "boot 0123456789abcdef0123456789abcdef\ncpu 1 1 2 3 4 5 6 7 8\ncpu 1 1 2 3 4 5 6 7 8\nend\n",
        "boot 0123456789abcdef0123456789abcdef\nother\nend\n",
    };
    static struct device_table disk_table, net_table, zero;
    struct cpu_state cpu = {.cpu_count = 2, .base_ticks = {1, 2, 3, 4}}, no_cpu = {0};
    struct totals totals = {"0123456789abcdef0123456789abcdef", &cpu, &disk_table, &net_table};
    (void)state;
    memset(&table, 0, sizeof table);
    (void)measure_step(&table, &steps[0]);
    save(&cpu, &table, &table);
    assert_memory_equal(&net_table, &zero, sizeof zero);
    memset(&cpu, 0, sizeof cpu);
    size_t len = strlen(saved);
    assert_true(totals_parse(&totals, saved));
    assert_int_equal(disk_table.count, 2);
    assert_int_equal(net_table.totals[0], 5100);
    assert_int_equal(cpu.base_ticks[3], 4);
    for (size_t i = 0; i < len; i++) {
        memset(&cpu, 0, sizeof cpu);
        memset(&disk_table, 0, sizeof disk_table);
        memset(&net_table, 0, sizeof net_table);
        char end = saved[i];
        saved[i] = '\0';
        assert_false(totals_parse(&totals, saved));
        saved[i] = end;
    }
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++)
        if (totals_parse(&totals, nonsense[i]))
            fail_msg("taken: %s", nonsense[i]);
    assert_memory_equal(&cpu, &no_cpu, sizeof cpu);
    assert_memory_equal(&disk_table, &zero, sizeof zero);
    assert_memory_equal(&net_table, &zero, sizeof zero);
}

/* More devices than there is room for: those behind are left out. */
static void test_devices_full(void **state)
{
    static char text[(DEVICE_MAX + 50) * 48];
    struct device_filter filter = {.identify = identify_all_but_loopback};
    struct cpu_state cpu = {0};
    double metrics[METRIC_COUNT];
    size_t len = 0;
    (void)state;
    memset(&disks, 0, sizeof disks);
    for (int i = 0; i < DEVICE_MAX + 50; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "8 %d d%d 1 0 1 0 0 0 0 0 0 0 0\n", i, i);
    sample_disk(metrics, &disks, text, 1, &filter);
    assert_int_equal(disks.table.count, DEVICE_MAX);
    assert_true(fabs(metrics[METRIC_DISK_OPERATIONS] - DEVICE_MAX) < 1e-6);
    memset(&table, 0, sizeof table);
    save(&cpu, &disks.table, &table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disk),      cmocka_unit_test(test_disk_busiest),   cmocka_unit_test(test_net),
        cmocka_unit_test(test_net_named), cmocka_unit_test(test_many_devices),   cmocka_unit_test(test_steps),
        cmocka_unit_test(test_restart),   cmocka_unit_test(test_totals_refused), cmocka_unit_test(test_devices_full),
    };
    return cmocka_run_group_tests_name("agent devices", tests, NULL, NULL);
}
