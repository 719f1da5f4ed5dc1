/* SPDX-License-Identifier: GPL-2.0-or-later */
/* key_file.h - secrets on disk: read only what nobody else can read, never overwrite. */
#ifndef COMMON_KEY_FILE_H
#define COMMON_KEY_FILE_H

#include <stddef.h>

#include "common/error.h"
#include "common/key.h"

/* Refuses (-1, `error` set) a file that others may read, write or execute: mode & 007. The line says "chmod o-rwx PATH". */
int file_check_private(int fd, const char *path, struct error *error);

/* Reads a small private text file (at most `size` - 1 bytes) and terminates it. Checks file_check_private. */
int file_read_private(const char *path, char *text, size_t size, struct error *error);

int key_site_load(struct key *out, const char *path, struct error *error);
int key_host_load(struct host_key *out, const char *path, struct error *error);

/* Writes `text` to a new file of mode 0600, made durable with fsync; refuses if `path` exists. NULL or "-": standard output. */
int key_file_create(const char *path, const char *text, size_t len, struct error *error);

#endif
