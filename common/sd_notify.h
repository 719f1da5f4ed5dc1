/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sd_notify.h - tell the service manager that we are ready, alive, reloading or stopping (the sd_notify(3) protocol).
 *
 * A datagram to the socket named by NOTIFY_SOCKET, written here because it is ten lines and libsystemd would double the
 * agent's memory. Without that variable every call does nothing. */
#ifndef COMMON_SD_NOTIFY_H
#define COMMON_SD_NOTIFY_H

#include <stdint.h>

/* Sends one state, as "READY=1" or "WATCHDOG=1". Errors are ignored: the manager's time-outs will tell. */
void sd_notify_send(const char *state);

/* How often WATCHDOG=1 is to be sent: half of WATCHDOG_USEC if it is meant for this process, else 0. */
int64_t sd_notify_watchdog_ns(void);

#endif
