/* SPDX-License-Identifier: GPL-2.0-or-later */
/* settings.h - what every configuration file has in common: units, permissions, errors with file and line.
 *
 * The grammar is libconfuse's; which settings there are is told by agent/agent_settings.h and
 * receiver/receiver_settings.h. A bad value refuses the whole file: nothing is half applied. */
#ifndef COMMON_SETTINGS_H
#define COMMON_SETTINGS_H

#include <confuse.h>
#include <stdint.h>

#include "common/error.h"

/* "250ms" "60s" "5m" "2h" "7d": a whole number and a unit, no space. Returns 0, or -1 for anything else or overflow. */
int duration_parse(int64_t *out_ns, const char *text);
/* "1424Mbit" "10Gbit" "100kbit" "9600bit": decimal bits per second. */
int rate_parse(uint64_t *out_bps, const char *text);
/* "host:port", "1.2.3.4:port", "[::1]:port"; without port the customary one. Splits into the caller's buffers. */
int address_split(char *host, size_t host_size, char *port, size_t port_size, const char *text,
                  const char *default_port);

#define SETTINGS_DEFAULT_PORT "2004"

/* Parses a private configuration file with these options. Returns the libconfuse tree (free with cfg_free) or NULL with
 * `error` set to the FIRST error as "FILE:LINE: what, what to do". Registers nothing: callers validate with
 * settings_fail at a value. */
cfg_t *settings_parse_file(cfg_opt_t *options, const char *path, struct error *error);
/* The same for text in memory; `name` stands for the file (for tests and fuzzing). */
cfg_t *settings_parse_text(cfg_opt_t *options, const char *text, const char *name, struct error *error);

/* For use in a libconfuse validate or parse callback: records "FILE:LINE: ..." as the error of the running parse, and
 * returns -1. */
__attribute__((format(printf, 2, 3))) int settings_fail(cfg_t *cfg, const char *format, ...);

#endif
