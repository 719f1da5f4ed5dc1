/* SPDX-License-Identifier: GPL-2.0-or-later */
/* flush.h - one turn of writing RRD files: what is to be written is copied out of the core, written on the RRD thread, and
 * then taken off the hosts. */
#ifndef RECEIVER_LISTEN_FLUSH_H
#define RECEIVER_LISTEN_FLUSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/time.h"
#include "receiver/judge/receiver.h"

struct flusher;   /* what the RRD thread works with: librrd and its own view of the log */
struct flush_job; /* a list of hosts */
struct pending;
struct worker;

/* `zone` is the name of the time zone of this process. */
struct flusher *flusher_create(const char *data, const char *zone, struct error *error);
void flusher_destroy(struct flusher *flusher);

struct flush_job *flush_job_create(void); /* NULL: out of memory */
void flush_job_destroy(struct flush_job *job);

enum flush_what {
    FLUSH_ALL,
    FLUSH_ROWS /* not state.rrd, whose turn comes later */
};

/* Adds a host as it stands at `now`; a host with nothing to write, or one that is in the job already, is left out. Its log must be committed before the
 * job is submitted. */
void flush_job_add(struct flush_job *job, struct receiver *receiver, struct host *host, enum flush_what what,
                   struct instant now);
size_t flush_job_count(const struct flush_job *job);
uint32_t flush_job_host(const struct flush_job *job, size_t i);

typedef void flush_done(struct flush_job *job, void *context);
/* Writes the files on the worker's thread; `done` then runs on the loop and must destroy the job. */
void flush_job_submit(struct flush_job *job, struct worker *worker, struct flusher *flusher, flush_done *done,
                      void *context);

/* Takes what was written off the host; what could not be written stays for the next turn. Returns whether it was written. */
bool flush_job_finish(struct flush_job *job, size_t i, struct host *host);
/* Whether the host's folder has got its new name. */
bool flush_job_moved(const struct flush_job *job, size_t i);
/* Adds the rows of months that are to be stored. Without memory for them the host is marked as changed, so that they are
 * computed again. */
void flush_job_add_months(const struct flush_job *job, size_t i, struct host *host, struct pending *pending);

#endif
