/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fault_disk.h - a folder on a disk that fails, fills up, dies and loses its power, as a seed wants it.
 *
 * Every file call of the program that names or holds a file in the folder comes through here (fault_calls.c defines them in
 * the place of the C library's, so SQLite and librrd use them, too). Reading sees what was written, as through the
 * kernel's page cache. Beside that a second image of each file is kept: what has been synced. A power cut makes each
 * file a mixture of both, in pieces of a page or a sector; what was renamed, made or removed since the last sync of
 * its folder may be so or not. Folders themselves are there for good once they are made.
 *
 * There is one such disk in a program, and one thread. */
#ifndef TESTS_SIM_FAULT_DISK_H
#define TESTS_SIM_FAULT_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum disk_part { DISK_DATABASE = 1, DISK_RRD = 2 };

enum disk_call {
    DISK_OPEN = 1,
    DISK_WRITE = 2,
    DISK_SYNC = 4,
    DISK_CUT = 8,   /* truncating and allocating */
    DISK_NAME = 16, /* renaming, linking, removing, making folders */
    DISK_MAP = 32,
    DISK_LOCK = 64,
    DISK_ALL = 127
};

/* What goes wrong for the time being: such calls on such files fail with that error, each by that chance. */
struct disk_weather {
    unsigned parts, calls;
    int error;
    double chance;
};

struct disk_counts {
    uint64_t calls, failed, syncs, power_cuts;
    uint64_t bytes_synced, pieces_lost;
};

/* Takes over the folder, which is empty. */
void disk_open(const char *folder, uint64_t seed);
/* Forgets everything; the files stay. */
void disk_close(void);
void disk_set_weather(const struct disk_weather *weather); /* NULL: fine */
/* The process dies with the n-th call from now: of a write only a part is done, and nothing after it. 0: it does not. */
void disk_die_after(uint64_t calls);
bool disk_is_dead(void);
/* From now on nothing the process does reaches the disk: it is about to be cleared away. */
void disk_die(void);
/* The next process. With `power_cut` the machine died, too, and what was not synced is lost in part. */
void disk_revive(bool power_cut);
/* Whether the last power cut left a mixture of this file: it was neither undone to the last sync as a whole, nor kept. */
bool disk_is_torn(const char *path);
const struct disk_counts *disk_counts(void);
/* What the program has written to standard error since the last call; good until the next one. */
const char *disk_take_lines(void);

/* --- for fault_calls.c --- */
/* Whether a path is in the folder; then 0 or the error the call is to fail with. -1: it is not. */
int disk_ask_path(const char *path, enum disk_call call);
int disk_ask_fd(int fd, enum disk_call call);
void disk_note_open(int fd, const char *path, bool created);
void disk_note_close(int fd);
void disk_note_write(int fd, off_t from, size_t len);
void disk_note_map(int fd);
void disk_note_sync(int fd, bool everything);
/* How much of a write that fails is done all the same. */
size_t disk_torn(size_t len);
void disk_add_lines(const char *text, size_t len);

#endif
