/* SPDX-License-Identifier: GPL-2.0-or-later */
/* footprint.h - keeps a program that does little from holding much memory. */
#ifndef AGENT_FOOTPRINT_H
#define AGENT_FOOTPRINT_H

/* Before anything is started: one heap and one worker thread at most. */
void footprint_limit(void);

/* After the start: gives back what only the start needed. */
void footprint_shrink(void);

#endif
