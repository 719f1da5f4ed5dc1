/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transition_log.h - one line for the operator for each line of the record: host, old state and new, since when and why. */
#ifndef RECEIVER_LISTEN_TRANSITION_LOG_H
#define RECEIVER_LISTEN_TRANSITION_LOG_H

#include "receiver/judge/receiver.h"

void transition_log(const struct receiver *receiver, const struct transition *line);

#endif
