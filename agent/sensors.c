/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sensors.c - see sensors.h.
 *
 * The kernel numbers devices from 0 and sensors of a device from 1, with few gaps, so the names are tried instead of
 * listed. The first sensors of a device are the telling ones; a processor's eightieth core adds cost only. */
#include "agent/sensors.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/sample_kernel.h"

#define CLASS_DEVICE_MAX 48
#define DEVICE_SENSOR_MAX 8
#define PATH_SIZE 256
#define TEXT_SIZE 32

/* "" if the file tells nothing; an errno if it cannot be read. */
static int read_small(int fd, char text[TEXT_SIZE])
{
    ssize_t len = pread(fd, text, TEXT_SIZE - 1, 0);
    text[len > 0 ? len : 0] = '\0';
    return len < 0 ? errno : 0;
}

static void add(struct sensors *sensors, const char *path)
{
    if (sensors->count == SENSOR_MAX)
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        sensors->fds[sensors->count++] = fd;
}

static bool is_wanted(const char *name_path)
{
    char name[TEXT_SIZE];
    int fd = open(name_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    (void)read_small(fd, name);
    (void)close(fd);
    return strcmp(name, "drivetemp\n") != 0;
}

void sensors_open(struct sensors *sensors, const char *root)
{
    char path[PATH_SIZE];
    sensors_close(sensors);
    for (int device = 0; device < CLASS_DEVICE_MAX; device++) {
        (void)snprintf(path, sizeof path, "%s/hwmon/hwmon%d/name", root, device);
        for (int i = 1; i <= DEVICE_SENSOR_MAX && (i > 1 || is_wanted(path)); i++) {
            (void)snprintf(path, sizeof path, "%s/hwmon/hwmon%d/temp%d_input", root, device, i);
            add(sensors, path);
        }
        (void)snprintf(path, sizeof path, "%s/thermal/thermal_zone%d/temp", root, device);
        add(sensors, path);
    }
}

void sensors_close(struct sensors *sensors)
{
    while (sensors->count > 0)
        (void)close(sensors->fds[--sensors->count]);
}

double sensors_read(const struct sensors *sensors, bool *lost)
{
    char text[TEXT_SIZE];
    double hottest = (double)NAN;
    for (size_t i = 0; i < sensors->count; i++) {
        int trouble = read_small(sensors->fds[i], text);
        *lost = *lost || trouble == ENODEV || trouble == ENOENT;
        sample_temperature(&hottest, text);
    }
    return hottest;
}
