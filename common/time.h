/* SPDX-License-Identifier: GPL-2.0-or-later */
/* time.h - the two kinds of time, which must never be mixed.
 *
 * An `instant` lies on the judging clock: it never steps and is what every verdict is made of. A `wall` is what the
 * record and people are told. Each is a struct of one member, so that handing one over as the other does not compile.
 * Durations are plain int64_t nanoseconds, named `_ns`. Nothing here reads a clock: time enters once per turn of a
 * loop, in the shell, and is passed down. */
#ifndef COMMON_TIME_H
#define COMMON_TIME_H

#include <stdint.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)
#define MS_PER_S INT64_C(1000)

struct instant {
    int64_t ns; /* nanoseconds on the judging clock (CLOCK_BOOTTIME of this machine, or its continuation) */
};

struct wall {
    int64_t ns; /* nanoseconds since the Unix epoch */
};

static inline struct instant instant_add(struct instant t, int64_t ns)
{
    return (struct instant){t.ns + ns};
}
static inline int64_t instant_since(struct instant later, struct instant earlier)
{
    return later.ns - earlier.ns;
}
static inline int instant_before(struct instant a, struct instant b)
{
    return a.ns < b.ns;
}
static inline struct instant instant_earlier(struct instant a, struct instant b)
{
    return a.ns < b.ns ? a : b;
}
static inline struct instant instant_later(struct instant a, struct instant b)
{
    return a.ns > b.ns ? a : b;
}

/* What is read from a disk is refused beyond 73 years either way, so that no arithmetic on it can overflow. */
#define INSTANT_LIMIT_NS (INT64_C(1) << 61)

static inline int instant_is_sane(struct instant t)
{
    return t.ns > -INSTANT_LIMIT_NS && t.ns < INSTANT_LIMIT_NS;
}

/* No deadline at all: later than everything. */
#define INSTANT_NEVER ((struct instant){INT64_MAX})

/* The whole second that holds this wall time, rounded towards the past (also before 1970). */
static inline int64_t wall_seconds(struct wall t)
{
    return t.ns >= 0 ? t.ns / NS_PER_S : -((-t.ns + NS_PER_S - 1) / NS_PER_S);
}

#endif
