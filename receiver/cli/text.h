/* SPDX-License-Identifier: GPL-2.0-or-later */
/* text.h - times, lengths and amounts as people read them. */
#ifndef RECEIVER_CLI_TEXT_H
#define RECEIVER_CLI_TEXT_H

#include <stdint.h>

#define TEXT_MAX 64

/* "2026-11-21 22:34:56 CET", in the local time zone. */
void text_time(char out[TEXT_MAX], int64_t at);
/* "2026-11-21T22:34:56+01:00". */
void text_time_iso(char out[TEXT_MAX], int64_t at);
/* The two largest units of a length: "3d 4h", "2h 10m", "12m 5s", "7s". */
void text_length(char out[TEXT_MAX], int64_t seconds);
/* "1.2M": three digits and a decimal prefix. */
void text_amount(char out[TEXT_MAX], double amount);

#endif
