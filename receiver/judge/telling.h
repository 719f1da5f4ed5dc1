/* SPDX-License-Identifier: GPL-2.0-or-later */
/* telling.h - from what is thought of a silence now to lines of the log: whatever differs from what was told before. */
#ifndef RECEIVER_JUDGE_TELLING_H
#define RECEIVER_JUDGE_TELLING_H

#include "receiver/judge/verdict.h"

/* The very first line of a host: up. */
void telling_first(struct host *host, struct instant at, const struct verdict_context *context);
/* From that instant on: unknown, since the host is forgotten, or has moved. */
void telling_forgotten(struct host *host, struct instant at, enum cause cause, const struct verdict_context *context);
/* A silence has begun: nothing but up is told of it yet. */
void telling_begin(struct host *host, const struct verdict_context *context);
/* Tells the log where the present view of the silence differs from what was told before. */
void telling_update(struct host *host, const struct verdict_context *context);

/* Takes back what was told of `at` and later: unknown from there on. */
void telling_cut(struct host *host, int64_t at, const struct verdict_context *context);

#endif
