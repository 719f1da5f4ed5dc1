/* SPDX-License-Identifier: GPL-2.0-or-later */
/* spread.h - which of the listed receivers a host speaks to, if not to all (PROTOCOL.md section 7).
 *
 * Rendezvous hashing: each pair of host and receiver has a weight that everybody computes alike, and a host speaks to the
 * receivers with the largest. So nobody coordinates, the hosts spread evenly, and a receiver that is added or removed
 * moves only those hosts that it gets or had. Pure. */
#ifndef AGENT_SPREAD_H
#define AGENT_SPREAD_H

#include <stddef.h>
#include <stdint.h>

#define SPREAD_WEIGHT_LEN 16

/* What the host makes of the receiver, which is named as in the configuration: "name:port" or "[address]:port" in lower case.
 * A weight is a number of 16 bytes, the most significant one first. */
void spread_weigh(uint8_t weight[SPREAD_WEIGHT_LEN], const char *host_name, const char *receiver);

/* Chooses `wanted` of the `count` different receivers (at most AGENT_RECEIVER_MAX), all if there are no more: their indices, in
 * the order of the list, are written to `chosen`, which must have room. Returns how many. */
size_t spread_choose(size_t *chosen, const char *host_name, const char *const *receivers, size_t count, size_t wanted);

#endif
