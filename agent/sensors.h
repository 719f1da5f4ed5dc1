/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sensors.h - the temperature sensors of this host: hwmon and thermal zones.
 *
 * Files stay open, so reading needs no memory. Reading may take long: some sensors sit on slow buses. The sensors of
 * disks behind drivetemp are left out, because asking a disk can keep it from sleeping, and it is never the hottest. */
#ifndef AGENT_SENSORS_H
#define AGENT_SENSORS_H

#include <stdbool.h>
#include <stddef.h>

#define SENSOR_MAX 32

/* Initialise with SENSORS_NONE. */
struct sensors {
    size_t count;
    int fds[SENSOR_MAX];
};

#define SENSORS_NONE \
    (struct sensors) \
    {                \
        .count = 0   \
    }

/* Finds the sensors anew. `root`: SENSORS_ROOT outside of tests. */
void sensors_open(struct sensors *sensors, const char *root);
void sensors_close(struct sensors *sensors);

#define SENSORS_ROOT "/sys/class"

/* The hottest in degrees Celsius, NaN if none tells. Sets `*lost` if one has gone: then look for them anew. */
double sensors_read(const struct sensors *sensors, bool *lost);

#endif
