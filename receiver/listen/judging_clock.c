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

struct instant judging_clock_continue(const struct journal_start *start, const uint8_t boot_id[BOOT_ID_LEN],
                                      int64_t boottime_ns, struct wall wall)
{
    if (!start->has_run)
        return (struct instant){wall.ns};
    int64_t off_ns = wall.ns - start->alive_wall.ns;
    if (memcmp(start->boot_id, boot_id, BOOT_ID_LEN) == 0)
        off_ns = start->started_ns + (boottime_ns - start->boottime_ns) - start->alive.ns;
    return instant_add(start->alive, off_ns > 0 ? off_ns : 0);
}
