/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gateway.h - whether the way out of this machine is open: one piece of the evidence that it is not the host that fell silent. */
#ifndef RECEIVER_LISTEN_GATEWAY_H
#define RECEIVER_LISTEN_GATEWAY_H

#include <stdbool.h>

/* Whether there are gateways, and none of them answers its neighbours any more, by the kernel's tables. It asks them only when something is
 * sent: a gateway that nobody needs is never lost. IPv4 only. */
bool gateway_is_lost(void);

/* The same from the texts of /proc/net/route and /proc/net/arp. */
bool gateway_is_lost_by(const char *routes, const char *neighbours);

#endif
