/* SPDX-License-Identifier: GPL-2.0-or-later */
/* state_file.h - small files in the state directory. A new file replaces the old one, so that a loss of power leaves one or
 * the other. */
#ifndef AGENT_STATE_FILE_H
#define AGENT_STATE_FILE_H

/* Durably writes STATE_DIR/NAME. Returns 0 or -1 with errno. */
int state_file_save(const char *state_dir, const char *name, const char *text);

#endif
