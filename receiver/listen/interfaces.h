/* SPDX-License-Identifier: GPL-2.0-or-later */
/* interfaces.h - whether this machine has a network at all: the kernel tells when an interface comes or goes. */
#ifndef RECEIVER_LISTEN_INTERFACES_H
#define RECEIVER_LISTEN_INTERFACES_H

#include <stdbool.h>

/* A socket on which the kernel tells of changes (readable then), or -1 where it does not. To be closed by the caller. */
int interfaces_watch(void);
/* Reads away what it told. True if there was anything. */
bool interfaces_changed(int fd);
/* Whether an interface other than loopback is up, runs, and has an address. */
bool interfaces_any(void);

#endif
