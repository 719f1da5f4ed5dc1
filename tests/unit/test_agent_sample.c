/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_agent_sample.c - texts of /proc, as real kernels write them and as they should never be, and what is read from
 * them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "agent/sample_kernel.h"
#include "agent/sample_load.h"
#include "agent/sample_memory.h"
#include "agent/sample_stat.h"
#include "tests/unit/metric_rows.h"

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
        struct cpu_state cpu = {0};
        sample_stat(metrics, &cpu, rows[i].text, 100);
        check(metrics, &rows[i]);
    }
}

static void test_stat_ticks(void **state)
{
    double metrics[METRIC_COUNT];
    struct cpu_state cpu = {0};
    (void)state;
    clear(metrics);
    sample_stat(metrics, &cpu, "cpu  1000 0 0 0 0 0 0 0\ncpu0 1000\n", 250);
    assert_true(fabs(metrics[METRIC_CPU_USER] - 400) < 1e-6);
}

/* --- CPUs that come and go ----------------------------------------------------------------------------------------- */

struct cpu_row {
    const char *what;
    unsigned cpu_count;
    unsigned long long ticks; /* user, 100 a second, of all CPUs */
    double percent;           /* the total that is told */
    bool saves;
};

static void measure_cpus(double metrics[METRIC_COUNT], struct cpu_state *cpu, const struct cpu_row *row)
{
    char text[8192];
    size_t len = (size_t)snprintf(text, sizeof text, "cpu  %llu 0 0 0 0 0 0 0\n", row->ticks);
    for (unsigned i = 0; i < row->cpu_count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "cpu%u 1 0 0 0 0 0 0 0\n", i);
    clear(metrics);
    sample_stat(metrics, cpu, text, 100);
}

static const struct cpu_row cpu_rows[] = {
    {"start, long after the boot", 8, 8000000000, 1e9, true},
    {"a second of full use", 8, 8000000800, 1e9 + 100, false},
    {"half of them went: no more than 100 % in that second", 4, 8000001400, 1e9 + 175, true},
    {"full use of the rest", 4, 8000001800, 1e9 + 275, false},
    {"they are back", 8, 8000002600, 1e9 + 375, true},
    {"a large machine", 200, 8000022600, 1e9 + 475, true},
    {"a few ticks less", 200, 8000022590, 1e9 + 475, false},
    {"and on", 200, 8000022800, 1e9 + 476, false},
    {"all anew", 200, 500, 1e9 + 476, true},
    {"on from there", 200, 20500, 1e9 + 576, false},
};

static void test_cpu_hotplug(void **state)
{
    struct cpu_state cpu = {0};
    double last = 0;
    (void)state;
    for (size_t i = 0; i < sizeof cpu_rows / sizeof cpu_rows[0]; i++) {
        double metrics[METRIC_COUNT];
        measure_cpus(metrics, &cpu, &cpu_rows[i]);
        if (fabs(metrics[METRIC_CPU_USER] - cpu_rows[i].percent) > 1e-4 || metrics[METRIC_CPU_USER] < last)
            fail_msg("%s: %f, not %f", cpu_rows[i].what, metrics[METRIC_CPU_USER], cpu_rows[i].percent);
        if (cpu.changed != cpu_rows[i].saves)
            fail_msg("%s: to be saved or not", cpu_rows[i].what);
        cpu.changed = false;
        last = metrics[METRIC_CPU_USER];
    }
}

/* Another run of the agent starts at each sample, from what was saved last: it tells the same total to the last bit, as
 * long as the number of CPUs did not change just then. */
static void test_cpu_restart(void **state)
{
    struct cpu_state cpu = {0}, saved = {0};
    (void)state;
    for (size_t i = 0; i < sizeof cpu_rows / sizeof cpu_rows[0]; i++) {
        double metrics[METRIC_COUNT], again[METRIC_COUNT];
        measure_cpus(metrics, &cpu, &cpu_rows[i]);
        if (cpu.changed) {
            saved = cpu;
            memcpy(saved.last_ticks, saved.base_ticks, sizeof saved.last_ticks);
        }
        cpu.changed = saved.changed = false;
        if (strcmp(cpu_rows[i].what, "a few ticks less") == 0)
            continue;
        struct cpu_state other = saved;
        measure_cpus(again, &other, &cpu_rows[i]);
        if (memcmp(&metrics[METRIC_CPU_USER], &again[METRIC_CPU_USER], sizeof metrics[0]) != 0)
            fail_msg("%s: %f after a restart, not %f", cpu_rows[i].what, again[METRIC_CPU_USER],
                     metrics[METRIC_CPU_USER]);
    }
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

/* --- Control group -------------------------------------------------------------------------------------------------- */

struct group_row {
    const char *what, *limit, *usage, *stat;
    double total, available, used; /* of a machine with 1000 bytes, 500 of them available */
};

static void test_memory_group(void **state)
{
    static const struct group_row rows[] = {
        {"version 2", "400\n", "300\n", "anon 100\nfile 150\ninactive_file 60\nactive_file 40\nslab_reclaimable 20\n",
         400, 220, 45},
        {"version 1, with children", "400\n", "300\n",
         "inactive_file 1\nactive_file 1\ntotal_inactive_file 60\ntotal_active_file 40\n", 400, 200, 50},
        {"the machine has less left", "900\n", "0\n", "", 900, 500, 400.0 / 9},
        {"over its limit", "100\n", "130\n", "", 100, 0, 100},
        {"more cache than usage", "100\n", "10\n", "active_file 50\n", 100, 100, 0},
        {"no limit, version 2", "max\n", "300\n", "", 1000, 500, 50},
        {"no limit, version 1", "9223372036854771712\n", "300\n", "", 1000, 500, 50},
        {"a limit above what there is", "1001\n", "300\n", "", 1000, 500, 50},
        {"nothing told", "", "", "", 1000, 500, 50},
        {"no usage", "400\n", "", "", 1000, 500, 50},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct memory_group group;
        struct row want = {rows[i].what,
                           "",
                           {{METRIC_MEM_TOTAL, rows[i].total},
                            {METRIC_MEM_AVAILABLE, rows[i].available},
                            {METRIC_MEM_USED, rows[i].used}},
                           3};
        double metrics[METRIC_COUNT];
        clear(metrics);
        metrics[METRIC_MEM_TOTAL] = 1000;
        metrics[METRIC_MEM_AVAILABLE] = 500;
        metrics[METRIC_MEM_USED] = 50;
        if (memory_group_parse(&group, rows[i].limit, rows[i].usage, rows[i].stat))
            sample_memory_group(metrics, &group);
        check(metrics, &want);
    }
}

/* --- Single figures -------------------------------------------------------------------------------------------------- */

static void test_tcp(void **state)
{
    static const struct row rows[] = {
        {"usual",
         "Ip: Forwarding DefaultTTL\nIp: 2 64\nTcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens CurrEstab InSegs\n"
         "Tcp: 1 200 120000 -1 132 17 4592\nUdp: InDatagrams\nUdp: 3870\n",
         WANTS({METRIC_TCP_ESTABLISHED, 17})},
        {"cut", "Tcp: RtoAlgorithm CurrEstab\nTcp: 1 1", NOTHING},
        {"too few values", "Tcp: RtoAlgorithm CurrEstab\nTcp: 1\n", NOTHING},
        {"no such name", "Tcp: RtoAlgorithm\nTcp: 1\n", NOTHING},
        {"no number", "Tcp: CurrEstab\nTcp: x\n", NOTHING},
        {"empty", "", NOTHING},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double metrics[METRIC_COUNT];
        clear(metrics);
        sample_tcp(metrics, rows[i].text);
        check(metrics, &rows[i]);
    }
}

static void test_file_handles(void **state)
{
    static const struct row rows[] = {
        {"usual", "1462\t0\t2466183\n", WANTS({METRIC_FILE_HANDLES, 1462})},
        {"before 2.6", "1462\t400\t9223372036854775807\n", WANTS({METRIC_FILE_HANDLES, 1062})},
        {"cut", "1462\t4", NOTHING},
        {"more unused than there are", "1\t2\t3\n", NOTHING},
        {"empty", "", NOTHING},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double metrics[METRIC_COUNT];
        clear(metrics);
        sample_file_handles(metrics, rows[i].text);
        check(metrics, &rows[i]);
    }
}

struct value_row {
    const char *text;
    double value;
};

static void check_value(double value, const struct value_row *row)
{
    if (isnan(row->value) ? !isnan(value) : !(fabs(value - row->value) < 1e-9))
        fail_msg("\"%s\": %f, not %f", row->text, value, row->value);
}

static void test_pressure(void **state)
{
    static const struct value_row rows[] = {
        {"some avg10=0.07 avg60=0.19 avg300=0.31 total=14962603\nfull avg10=0.01 avg60=0.09 avg300=0.21 total=1\n",
         1496.2603},
        {"full avg10=0.01 avg60=0.09 avg300=0.21 total=1\n", (double)NAN},
        {"some avg10=0.07 total=149", (double)NAN},
        {"some total=x\n", (double)NAN},
        {"", (double)NAN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double value = (double)NAN;
        sample_pressure(&value, rows[i].text);
        check_value(value, &rows[i]);
    }
}

/* Each after the ones before: the hottest stays. */
static void test_temperature(void **state)
{
    static const struct value_row rows[] = {
        {"", (double)NAN},
        {"x\n", (double)NAN},
        {"-128000\n", (double)NAN},
        {"127000\n", (double)NAN},
        {"125000\n", (double)NAN},
        {"-5500\n", -5.5},
        {"0\n", 0},
        {"45123\n", 45.123},
        {"20000\n", 45.123},
        {"99", 45.123},
        {"3000000\n", 45.123},
        {"124999\n", 124.999},
    };
    double value = (double)NAN;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sample_temperature(&value, rows[i].text);
        check_value(value, &rows[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load),         cmocka_unit_test(test_stat),        cmocka_unit_test(test_stat_ticks),
        cmocka_unit_test(test_cpu_hotplug),  cmocka_unit_test(test_cpu_restart), cmocka_unit_test(test_memory),
        cmocka_unit_test(test_memory_group), cmocka_unit_test(test_tcp),         cmocka_unit_test(test_file_handles),
        cmocka_unit_test(test_pressure),     cmocka_unit_test(test_temperature),
    };
    return cmocka_run_group_tests_name("agent sample", tests, NULL, NULL);
}
