/* SPDX-License-Identifier: GPL-2.0-or-later */
/* batch_names.h - what a batch says of hosts themselves: those that are new, and those whose names have changed. */
#ifndef RECEIVER_LISTEN_BATCH_NAMES_H
#define RECEIVER_LISTEN_BATCH_NAMES_H

#include <stdbool.h>

#include "receiver/record/journal.h"

/* Fills `hosts` and `names` of a batch from its output. False: out of memory. */
bool batch_names_fill(struct journal_batch *batch, const struct host_table *table);

#endif
