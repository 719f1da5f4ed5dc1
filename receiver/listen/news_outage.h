/* SPDX-License-Identifier: GPL-2.0-or-later */
/* news_outage.h - which outages of our own a peer means when it tells what one of its own counts as.
 *
 * Each receiver has a log of its own, in which the same outage has other edges and may be more than one span. Reading it takes a disk,
 * so a thread of libuv does that. */
#ifndef RECEIVER_LISTEN_NEWS_OUTAGE_H
#define RECEIVER_LISTEN_NEWS_OUTAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/error.h"
#include "receiver/record/timeline.h"

enum { OUTAGE_FOUND_MAX = 16 };

/* The outage as the peer has it, in Unix seconds of ours. */
struct outage_wish {
    uint32_t host;
    int64_t from, to; /* INT64_MAX: it went on when it was relabelled */
    int64_t entered;  /* when that was */
    int64_t now;
    int64_t margin_s; /* by so much the edges of one outage may differ */
    enum state state;
};

struct outage_found {
    uint32_t number;
    bool to_end, open; /* as in timeline_say */
};

/* Whether span `index` of our log is the outage: it is none in which the host was up, and at least half of it lies within the other. */
bool outage_is_meant(const struct timeline *log, size_t index, const struct outage_wish *wish);

/* Looks through a log, and lays what is said over it. Returns how many outages are meant. Those about which something was said
 * later are left out, but `*any` is set. -1: out of memory. */
int outage_find(struct timeline *log, const struct outage_wish *wish, struct outage_found found[OUTAGE_FOUND_MAX],
                bool *any);

struct outage_lookup {
    uv_work_t request;
    char *data; /* owned: the data directory */
    struct outage_wish wish;
    struct outage_found found[OUTAGE_FOUND_MAX];
    int count; /* -1: it could not be looked up */
    bool any;
    struct error error;
    void (*done)(struct outage_lookup *lookup); /* on the loop; owns it, to be freed with outage_lookup_free */
    void *context;
};

/* Starts a look-up; NULL: it cannot be. `done` is called in any case, also after uv_cancel (then with count -1). */
struct outage_lookup *outage_look_up(uv_loop_t *loop, const char *data, const struct outage_wish *wish,
                                     void (*done)(struct outage_lookup *lookup), void *context);
void outage_lookup_free(struct outage_lookup *lookup);

#endif
