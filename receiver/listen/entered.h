/* SPDX-License-Identifier: GPL-2.0-or-later */
/* entered.h - what people entered, here or at a peer: maintenance, and what outages count as.
 *
 * Whoever enters something does it here: the core, the journal and the list below then have it. The list is what peers are told of
 * (news.h), and what they have told; it holds what they may still ask about, and no more. */
#ifndef RECEIVER_LISTEN_ENTERED_H
#define RECEIVER_LISTEN_ENTERED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "receiver/judge/receiver.h"
#include "receiver/listen/keeper.h"

/* For so long peers are told that a window is over, and of what was said about an outage. */
#define ENTERED_WINDOW_KEPT_NS (INT64_C(7) * 86400 * NS_PER_S)
#define ENTERED_RELABEL_KEPT_S (INT64_C(30) * 86400)

/* What a peer knows of an entry of ours. */
struct entered_told {
    uint32_t version; /* it was told this one last ... */
    bool confirmed;   /* ... and has taken it */
    uint8_t tries;
    struct instant next_at; /* not to be told again before */
};

/* What both kinds have. */
struct entered_source {
    char origin[NAME_LEN_MAX + 1]; /* the peer where it was entered; "": here */
    uint64_t key;                  /* by which all receivers know it, together with the origin */
    int64_t entered;               /* Unix seconds */
    uint64_t change;               /* to be compared with `stored` */
    struct entered_told told[PEERS_MAX];
};

/* Pattern and edges are with the core, by the id. */
struct entered_window {
    struct entered_source source;
    int64_t id;
    char *reason; /* owned */
    /* Of a peer's: where that says it lies. Where it lies here differs when this wall clock has stepped. */
    bool has_place;
    struct window place;
};

struct entered_relabel {
    struct entered_source source;
    uint32_t host, number;
    enum state state;
    char *reason;     /* owned */
    int64_t from, to; /* the outage when it was said; INT64_MAX: it went on */
};

struct entered {
    struct receiver *receiver;
    struct keeper *keeper;
    int64_t last_window_id;
    uint64_t changes, stored; /* how many were made, and how many of them are on the disk: in their order */
    struct entered_window *windows;
    size_t window_count, window_capacity;
    struct entered_relabel *relabels;
    size_t relabel_count, relabel_capacity;
};

/* Both are borrowed. NULL: out of memory. */
struct entered *entered_create(struct receiver *receiver, struct keeper *keeper, int64_t last_window_id);
/* Reads what an earlier run stored, which the core has learned already. Returns 0, or -1 with `error` set. */
int entered_load(struct entered *entered, const char *data, struct instant now, struct error *error);
void entered_destroy(struct entered *entered);

/* A window to be entered. */
struct entered_wish {
    const char *pattern, *reason;
    struct window window; /* begins now or later */
    int64_t starts, ends; /* the same in Unix seconds; `ends` INT64_MAX: until somebody ends it */
    const char *origin;   /* NULL: entered here */
    uint64_t key;         /* with an origin */
};

/* Returns the id of the window, 0: out of memory. */
int64_t entered_add_window(struct entered *entered, struct instant now, const struct entered_wish *wish);
/* Ends a window now, or where it begins if that is to come. Returns 0, or -1: out of memory, no such window. */
int entered_end_window(struct entered *entered, struct instant now, int64_t id);
/* Pattern and edges of a window, NULL: there is none. */
const struct planned *entered_planned(const struct entered *entered, int64_t id);
/* Whether it is over, or was cancelled. */
bool entered_is_over(const struct planned *planned, struct instant now);

/* Lays `relabel` over the host's log; host, position and reason in it are filled in. `open`: it holds for the outage that the host is
 * in. Returns 0, or -1: out of memory. */
int entered_add_relabel(struct entered *entered, struct host *host, const struct journal_relabel *relabel,
                        const char *reason, bool open);

/* Whether what is said of the source is stored: nobody is told what this receiver could forget. */
bool entered_is_stored(const struct entered *entered, const struct entered_source *source);
/* Whether that peer entered it; NULL: somebody here. */
bool entered_is_from(const struct entered_source *source, const char *origin);
/* Lets go of what no peer is to be told, or will tell, any more. */
void entered_trim(struct entered *entered, struct instant now);

#endif
