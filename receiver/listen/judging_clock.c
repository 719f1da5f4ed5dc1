/* SPDX-License-Identifier: GPL-2.0-or-later */
/* judging_clock.c - see judging_clock.h. */
#include "receiver/listen/judging_clock.h"

#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

int64_t judging_clock_read_ns(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* Two clocks that are read within this time are read at once. */
#define PAIR_NS (20 * NS_PER_MS)
enum { PAIR_TRIES_MAX = 20 };

struct wall judging_clock_read_wall(int64_t *boottime_ns)
{
    struct wall wall;
    int64_t after_ns = judging_clock_read_ns(CLOCK_BOOTTIME);
    int tries = 0;
    do {
        *boottime_ns = after_ns;
        wall.ns = judging_clock_read_ns(CLOCK_REALTIME);
        after_ns = judging_clock_read_ns(CLOCK_BOOTTIME);
    } while (after_ns - *boottime_ns > PAIR_NS && ++tries < PAIR_TRIES_MAX);
    return wall;
}

int judging_clock_read_boot_id(uint8_t out[BOOT_ID_LEN], struct error *error)
{
    char text[64] = "";
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    size_t bytes = 0;
    if (len <= 0 || sodium_hex2bin(out, BOOT_ID_LEN, text, (size_t)len, "-\n", &bytes, NULL) != 0 ||
        bytes != BOOT_ID_LEN)
        return error_set(error, "cannot read /proc/sys/kernel/random/boot_id; is /proc mounted?");
    return 0;
}

#define DAY_NS (86400 * NS_PER_S)

int judging_clock_check(const struct journal_start *start, struct wall wall, struct error *error)
{
    if (!start->has_run || wall.ns < LABELS_EARLIEST_NS || start->alive_wall.ns - wall.ns <= DAY_NS)
        return 0;
    char mark[64];
    time_t second = (time_t)wall_seconds(start->alive_wall);
    struct tm tm;
    (void)strftime(mark, sizeof mark, "%F %T %Z", localtime_r(&second, &tm));
    return error_set(
        error,
        "the record goes to %s, more than a day ahead of this machine's clock; set the clock, or, if it was the "
        "clock that had run ahead, take back what lies after now: twobeat cut --to now",
        mark);
}

struct instant judging_clock_continue(const struct journal_start *start, const uint8_t boot_id[BOOT_ID_LEN],
                                      int64_t boottime_ns, struct wall wall)
{
    if (!start->has_run)
        return instant_later((struct instant){wall.ns}, (struct instant){LABELS_EARLIEST_NS});
    int64_t off_ns = wall.ns - start->alive_wall.ns;
    if (memcmp(start->boot_id, boot_id, BOOT_ID_LEN) == 0)
        off_ns = start->started_ns + (boottime_ns - start->boottime_ns) - start->alive.ns;
    return instant_add(start->alive, off_ns > 0 ? off_ns : 0);
}
