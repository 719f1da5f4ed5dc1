/* SPDX-License-Identifier: GPL-2.0-or-later */
/* peers_trouble.h - the network between receivers at its worst, and peers that are strange. */
#ifndef TESTS_SIM_PEERS_TROUBLE_H
#define TESTS_SIM_PEERS_TROUBLE_H

#include <stdint.h>

/* Tries each trouble that many times. Prints a line for each; 0 if all is as it should be. */
int peers_trouble(uint64_t times);

#endif
