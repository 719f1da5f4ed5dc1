/* SPDX-License-Identifier: GPL-2.0-or-later */
/* relabelled.h - what was said about outages, brought back when the receiver starts. */
#ifndef RECEIVER_LISTEN_RELABELLED_H
#define RECEIVER_LISTEN_RELABELLED_H

#include "common/error.h"
#include "receiver/judge/receiver.h"

/* To be called when the journal is loaded and the run has not begun yet. Hosts in an outage that was relabelled show that
 * again, and files that were not rewritten since are marked as changed. Returns 0, or -1 with `error` set. */
int relabelled_load(struct receiver *receiver, const char *data, struct error *error);

#endif
