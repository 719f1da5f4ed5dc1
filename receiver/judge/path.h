/* SPDX-License-Identifier: GPL-2.0-or-later */
/* path.h - what the word of other receivers makes of a silence.
 *
 *   one of them heard the host       the silence ends with that beat, and the next one begins with it: up, cause `path`
 *   those that judge it did not      it is down, and was lost by nobody's network
 *   none could be asked, and contact was lost together with the host
 *                                    unknown until contact returns; then the host has a fresh chance, once
 *
 * Each is a fact of the journal, so a replay needs no other receiver. Pure. */
#ifndef RECEIVER_JUDGE_PATH_H
#define RECEIVER_JUDGE_PATH_H

#include "receiver/judge/verdict.h"

void path_heard(struct host *host, const struct fact_path *path, const struct verdict_context *context);
void path_agreed(struct host *host, const struct verdict_context *context);
void path_cut_off(struct host *host, const struct verdict_context *context);
/* Contact with another receiver has returned. */
void path_contact(struct host *host, const struct verdict_context *context);

#endif
