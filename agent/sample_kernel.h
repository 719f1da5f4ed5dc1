/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_kernel.h - single figures of the kernel, from the texts of small files. Pure. */
#ifndef AGENT_SAMPLE_KERNEL_H
#define AGENT_SAMPLE_KERNEL_H

#include "common/metric.h"

/* All of these leave the metric as it is if the text does not tell it. */

/* tcp_established, from /proc/net/snmp; IPv6 is in it, and so are connections that only one side has closed. */
void sample_tcp(double metrics[METRIC_COUNT], const char *text);

/* file_handles, from /proc/sys/fs/file-nr. */
void sample_file_handles(double metrics[METRIC_COUNT], const char *text);

/* The time in which some task waited, in percent-seconds, from /proc/pressure/memory or io. */
void sample_pressure(double *percent_s, const char *text);

/* Raises `celsius` (NaN: none yet) to a temperature, from a temp*_input of hwmon or the temp of a thermal zone. Inputs
 * that nothing is connected to tell -128, 127 or worse: only what is above -40 and below 125 is believed. */
void sample_temperature(double *celsius, const char *text);

#endif
