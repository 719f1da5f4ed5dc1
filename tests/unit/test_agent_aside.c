/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_agent_aside.c - calls that hang: they cost no time but once, the others go on, and there are never more than four
 * threads. And the sensors, in a folder that looks like that of the kernel. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <dirent.h>
#include <ftw.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/aside.h"
#include "agent/sensors.h"

#define TASK_COUNT 8

/* Tasks that are told to hang do so until they are told to end. */
struct world {
    pthread_mutex_t lock;
    pthread_cond_t freed;
    bool hangs[TASK_COUNT];
    unsigned entered[TASK_COUNT], done[TASK_COUNT];
};

static void run(void *context, size_t task)
{
    struct world *world = context;
    (void)pthread_mutex_lock(&world->lock);
    world->entered[task]++;
    while (world->hangs[task])
        (void)pthread_cond_wait(&world->freed, &world->lock);
    world->done[task]++;
    (void)pthread_mutex_unlock(&world->lock);
}

static void set_hangs(struct world *world, size_t task, bool hangs)
{
    (void)pthread_mutex_lock(&world->lock);
    world->hangs[task] = hangs;
    (void)pthread_cond_broadcast(&world->freed);
    (void)pthread_mutex_unlock(&world->lock);
}

static unsigned done(struct world *world, size_t task)
{
    (void)pthread_mutex_lock(&world->lock);
    unsigned count = world->done[task];
    (void)pthread_mutex_unlock(&world->lock);
    return count;
}

static unsigned thread_count(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/task");
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    (void)closedir(dir);
    return count;
}

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* One round, as a beat does. Returns for how long it took. */
static int64_t ask_all(struct aside *aside, int limit_ms)
{
    int64_t start_ms = now_ms();
    for (size_t i = 0; i < TASK_COUNT; i++)
        aside_ask(aside, i);
    (void)aside_wait(aside, limit_ms);
    return now_ms() - start_ms;
}

#define LONG_MS 20000 /* never reached unless something hangs */
#define SHORT_MS 300  /* is reached when something begins to hang */

static struct world fresh_world(void)
{
    return (struct world){.lock = PTHREAD_MUTEX_INITIALIZER, .freed = PTHREAD_COND_INITIALIZER};
}

static void test_in_turn(void **state)
{
    struct world world = fresh_world();
    unsigned before = thread_count();
    (void)state;
    struct aside *aside = aside_create(TASK_COUNT, run, &world);
    assert_non_null(aside);
    assert_int_equal(thread_count(), before); /* none before the first need */
    assert_true(aside_wait(aside, LONG_MS));
    for (unsigned round = 1; round <= 100; round++) {
        assert_true(ask_all(aside, LONG_MS) < LONG_MS);
        for (size_t i = 0; i < TASK_COUNT; i++)
            assert_int_equal(done(&world, i), round);
        assert_true(aside_wait(aside, LONG_MS)); /* all is done */
    }
    assert_int_equal(thread_count(), before + 1);
    assert_true(aside_destroy(aside));
    assert_int_equal(thread_count(), before);
}

static void test_hanging(void **state)
{
    struct world world = fresh_world();
    unsigned before = thread_count();
    (void)state;
    struct aside *aside = aside_create(TASK_COUNT, run, &world);
    assert_non_null(aside);
    (void)ask_all(aside, LONG_MS);
    for (unsigned hanging = 1; hanging < ASIDE_THREAD_MAX; hanging++) {
        set_hangs(&world, 2 * hanging, true);
        assert_true(ask_all(aside, SHORT_MS) >= SHORT_MS); /* once it costs time */
        unsigned done_before = done(&world, 0), done_last = done(&world, TASK_COUNT - 1);
        for (int round = 0; round < 20; round++)
            assert_true(ask_all(aside, LONG_MS) < LONG_MS);
        assert_int_equal(thread_count(), before + 1 + hanging);
        assert_int_equal(done(&world, 0), done_before + 20);
        assert_int_equal(done(&world, TASK_COUNT - 1), done_last + 20);
        assert_int_equal(world.entered[2 * hanging], world.done[2 * hanging] + 1); /* not asked again */
        assert_false(aside_wait(aside, LONG_MS));
    }
    /* All threads hang: nothing is waited for any more. */
    set_hangs(&world, 1, true);
    (void)ask_all(aside, SHORT_MS);
    for (int round = 0; round < 20; round++)
        assert_true(ask_all(aside, LONG_MS) < LONG_MS);
    assert_int_equal(thread_count(), before + ASIDE_THREAD_MAX);
    assert_false(aside_destroy(aside)); /* now it only waits for the calls to end; nothing is freed */
    for (size_t i = 0; i < TASK_COUNT; i++)
        set_hangs(&world, i, false);
    for (int64_t start_ms = now_ms(); thread_count() > before && now_ms() - start_ms < LONG_MS;)
        (void)sched_yield(); /* until the threads are gone */
    assert_true(aside_destroy(aside));
}

static void test_back_again(void **state)
{
    struct world world = fresh_world();
    (void)state;
    struct aside *aside = aside_create(TASK_COUNT, run, &world);
    assert_non_null(aside);
    set_hangs(&world, 3, true);
    (void)ask_all(aside, SHORT_MS);
    (void)ask_all(aside, LONG_MS);
    assert_int_equal(done(&world, 3), 0);
    set_hangs(&world, 3, false);
    for (int64_t start_ms = now_ms(); done(&world, 3) < 2 && now_ms() - start_ms < LONG_MS;)
        (void)ask_all(aside, LONG_MS);
    assert_true(done(&world, 3) >= 2);
    assert_true(aside_destroy(aside));
    assert_true(aside_destroy(NULL));
}

/* --- Sensors -------------------------------------------------------------------------------------------------------- */

static void write_file(const char *root, const char *folder, const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", root, folder);
    for (char *at = path + strlen(root) + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        (void)mkdir(path, 0700);
        *at = '/';
    }
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof path, "%s/%s/%s", root, folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static double hottest(struct sensors *sensors)
{
    bool lost = false;
    double value = sensors_read(sensors, &lost);
    assert_false(lost);
    return value;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static void test_sensors(void **state)
{
    char root[] = "/tmp/twobeat-sensors-XXXXXX";
    struct sensors sensors = SENSORS_NONE;
    (void)state;
    assert_non_null(mkdtemp(root));
    sensors_open(&sensors, root);
    assert_true(isnan(hottest(&sensors)));
    write_file(root, "hwmon/hwmon0", "name", "drivetemp\n");
    write_file(root, "hwmon/hwmon0", "temp1_input", "60000\n");
    write_file(root, "hwmon/hwmon3", "name", "coretemp\n");
    write_file(root, "hwmon/hwmon3", "temp1_input", "41000\n");
    write_file(root, "hwmon/hwmon3", "temp4_input", "43500\n");
    write_file(root, "hwmon/hwmon3", "temp5_input", "127000\n");
    write_file(root, "thermal/thermal_zone1", "temp", "27800\n");
    sensors_open(&sensors, root);
    assert_int_equal(sensors.count, 4);
    assert_true(fabs(hottest(&sensors) - 43.5) < 1e-9);
    write_file(root, "hwmon/hwmon3", "temp1_input", "52000\n"); /* the files stay open and are read anew */
    assert_true(fabs(hottest(&sensors) - 52) < 1e-9);
    write_file(root, "thermal/thermal_zone1", "temp", "88000\n");
    assert_true(fabs(hottest(&sensors) - 88) < 1e-9);
    for (int i = 4; i < 47; i++) {
        char folder[32];
        (void)snprintf(folder, sizeof folder, "thermal/thermal_zone%d", i);
        write_file(root, folder, "temp", "10\n");
    }
    sensors_open(&sensors, root);
    assert_int_equal(sensors.count, SENSOR_MAX);
    sensors_close(&sensors);
    assert_int_equal(nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void *do_nothing(void *argument)
{
    return argument;
}

/* Some sanitizers start a thread of their own with the first one. */
static int start_first_thread(void **state)
{
    pthread_t thread;
    (void)state;
    return pthread_create(&thread, NULL, do_nothing, NULL) || pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_turn),
        cmocka_unit_test(test_hanging),
        cmocka_unit_test(test_back_again),
        cmocka_unit_test(test_sensors),
    };
    return cmocka_run_group_tests_name("agent aside", tests, start_first_thread, NULL);
}
