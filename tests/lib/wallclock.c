/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wallclock.c - a wall clock that a test can set: a module for LD_PRELOAD.
 *
 * The file named by TWOBEAT_WALLCLOCK holds two numbers of 64 bits, in this machine's order: how many nanoseconds this
 * process's wall clock is ahead of the real one, and how many its main thread is held up before it next reads that clock,
 * once for each number. It is mapped, so the test may write other numbers at any time. All other clocks are the real ones.
 * The kernel is asked by system call, so that no sanitizer stands between. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000

static const volatile int64_t *ahead_ns; /* never NULL once the process has begun; the second one follows */
static int64_t held_up_ns;

__attribute__((constructor)) static void map_offset(void)
{
    const char *path = getenv("TWOBEAT_WALLCLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, 2 * sizeof *ahead_ns, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        abort(); /* a test that tests nothing */
    close(fd);
    ahead_ns = map;
    held_up_ns = ahead_ns[1];
}

static void hold_up(void)
{
    int64_t ns = ahead_ns[1];
    if (ns == held_up_ns || syscall(SYS_gettid) != getpid())
        return;
    held_up_ns = ns;
    struct timespec rest = {ns / NS_PER_S, ns % NS_PER_S};
    while (syscall(SYS_nanosleep, &rest, &rest) != 0)
        ;
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    if (clock == CLOCK_REALTIME && ahead_ns)
        hold_up();
    long rc = syscall(SYS_clock_gettime, clock, out);
    if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) && ahead_ns) {
        int64_t ns = (int64_t)out->tv_sec * NS_PER_S + out->tv_nsec + *ahead_ns;
        out->tv_sec = (time_t)(ns / NS_PER_S);
        out->tv_nsec = (long)(ns % NS_PER_S);
    }
    return (int)rc;
}

time_t time(time_t *out)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
