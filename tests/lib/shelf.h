/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shelf.h - the journal without a disk: keeps what the core puts out, and makes a fresh core of it.
 *
 * What it loads, and in which order, is what journal.c does. It also watches over the log: the lines of a host are
 * numbered without a hole, and a line that a replay tells again is the one that was told before. */
#ifndef TESTS_LIB_SHELF_H
#define TESTS_LIB_SHELF_H

#include "receiver/judge/receiver.h"

#define SHELF_PARTS_MAX LABELS_MAX

struct shelf_entry {
    uint64_t first;
    uint8_t *facts;
    size_t len;
};

struct shelf_host {
    char name[NAME_LEN_MAX + 1];
    uint8_t *checkpoint; /* NULL: none yet */
    size_t len;
    uint64_t position;
};

struct shelf_window {
    int64_t id;
    char pattern[NAME_LEN_MAX + 1];
    struct window window;
};

/* Zero-initialise, with options set; release with shelf_free. */
struct shelf {
    struct receiver_options options;
    struct shelf_entry *entries;
    size_t entry_count;
    struct shelf_host *hosts; /* by id - 1 */
    size_t host_count;
    struct transition *lines; /* the log of all hosts */
    size_t line_count;
    struct absence *absences;
    size_t absence_count;
    struct shelf_window *windows;
    size_t window_count;
    struct label_part parts[SHELF_PARTS_MAX]; /* the latest */
    size_t part_count;
    bool has_run;
    struct instant alive; /* the mark */
    const char *fault;    /* what is wrong with the log; NULL: nothing */
};

/* Begins a run: receiver_start with the mark of the run before. */
void shelf_start(struct shelf *shelf, struct receiver *receiver, struct instant now, struct wall wall);
/* Stores what has piled up, and marks the receiver alive at `now`. */
void shelf_store(struct shelf *shelf, struct receiver *receiver, struct instant now);
void shelf_add_window(struct shelf *shelf, struct receiver *receiver, struct instant now, int64_t id,
                      const char *pattern, struct window window);
void shelf_end_window(struct shelf *shelf, struct receiver *receiver, struct instant now, int64_t id);
/* Stores the checkpoint of a host, and all that is before it. */
void shelf_checkpoint(struct shelf *shelf, struct receiver *receiver, uint32_t host, struct instant now);
/* Forgets the facts that every checkpoint contains. */
void shelf_trim(struct shelf *shelf);
/* A fresh core that has loaded everything, not started yet. NULL: it refused what it wrote itself. */
struct receiver *shelf_load(const struct shelf *shelf);
void shelf_free(struct shelf *shelf);

/* The checkpoint of a host as it is now: malloced bytes. */
uint8_t *shelf_bytes(const struct host *host, size_t *len);
/* Whether both cores hold the same hosts, to the byte. */
bool shelf_same(const struct receiver *a, const struct receiver *b);

#endif
