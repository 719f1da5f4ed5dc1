/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_net.c - see sample_net.h.
 *
 * A line: "name:", then received bytes, packets, errors, drops, fifo, frame, compressed, multicast; and sent bytes,
 * packets, errors, drops, and more. Two head lines have no colon. Old kernels leave no blank behind the colon. */
#include "agent/sample_net.h"

#include <assert.h>
#include <string.h>

enum { IN_BYTES, IN_PACKETS, IN_ERRORS, IN_DROPS, OUT_BYTES = 8, OUT_PACKETS, OUT_ERRORS, OUT_DROPS, FIELDS };

static bool split_line(struct span *name, struct span *rest, struct span line)
{
    while (line.len > 0 && line.at[0] == ' ') {
        line.at++;
        line.len--;
    }
    const char *colon = memchr(line.at, ':', line.len);
    if (!colon)
        return false;
    size_t name_len = (size_t)(colon - line.at);
    *name = (struct span){line.at, name_len};
    *rest = (struct span){colon + 1, line.len - name_len - 1};
    return true;
}

enum { TOTAL_IN, TOTAL_OUT, TOTAL_PACKETS_IN, TOTAL_PACKETS_OUT, TOTAL_ERRORS, TOTAL_DROPS, TOTALS };

static const enum metric total_metrics[TOTALS] = {METRIC_NET_IN,      METRIC_NET_OUT,    METRIC_PACKETS_IN,
                                                  METRIC_PACKETS_OUT, METRIC_NET_ERRORS, METRIC_NET_DROPS};

static_assert(TOTALS <= DEVICE_COUNTER_MAX, "a device must hold all counters");

void sample_net(double metrics[METRIC_COUNT], struct device_table *table, const char *text,
                const struct device_filter *filter, const struct device_filter *otherwise)
{
    struct span line, name, rest;
    size_t index = 0, order = 0;
    if (text[0] == '\0')
        return;
    device_table_choose(table, text, split_line, filter, otherwise);
    while (text_next_line(&line, &text) && order < table->count) {
        uint64_t fields[FIELDS];
        if (!split_line(&name, &rest, line) || !device_table_has(table, index++))
            continue;
        if (text_next_numbers(fields, FIELDS, &rest)) {
            uint64_t raw[TOTALS] = {[TOTAL_IN] = fields[IN_BYTES],
                                    [TOTAL_OUT] = fields[OUT_BYTES],
                                    [TOTAL_PACKETS_IN] = fields[IN_PACKETS],
                                    [TOTAL_PACKETS_OUT] = fields[OUT_PACKETS],
                                    [TOTAL_ERRORS] = fields[IN_ERRORS] + fields[OUT_ERRORS],
                                    [TOTAL_DROPS] = fields[IN_DROPS] + fields[OUT_DROPS]};
            device_table_add(table, order, raw, TOTALS);
        }
        order++;
    }
    if (!table->begun)
        return;
    for (size_t i = 0; i < TOTALS; i++)
        metrics[total_metrics[i]] = (double)table->totals[i];
}
