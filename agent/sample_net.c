/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_net.c - see sample_net.h.
 *
 * A line: "name:", then received bytes, packets, errors, drops, fifo, frame, compressed, multicast; and sent bytes,
 * packets, errors, drops, and more. Two head lines have no colon. Old kernels leave no blank behind the colon. */
#include "agent/sample_net.h"

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

static bool is_not_loopback(void *context, const char *name)
{
    (void)context;
    return strcmp(name, "lo") != 0;
}

void sample_net(double metrics[METRIC_COUNT], struct device_choice *choice, const char *text,
                const struct device_filter *filter, bool or_all)
{
    static const struct device_filter all = {.is_wanted = is_not_loopback};
    struct span line, name, rest;
    uint64_t sums[FIELDS] = {0};
    size_t index = 0, found = 0;
    if (!device_choice_is_current(choice, text, split_line)) {
        device_choice_make(choice, text, split_line, filter);
        if (choice->count == 0 && or_all)
            device_choice_make(choice, text, split_line, &all);
    }
    while (text_next_line(&line, &text)) {
        uint64_t fields[FIELDS];
        if (!split_line(&name, &rest, line) || !device_choice_has(choice, index++) ||
            !text_next_numbers(fields, FIELDS, &rest))
            continue;
        for (size_t i = 0; i < FIELDS; i++)
            sums[i] += fields[i];
        found++;
    }
    if (found == 0)
        return;
    metrics[METRIC_NET_IN] = (double)sums[IN_BYTES];
    metrics[METRIC_NET_OUT] = (double)sums[OUT_BYTES];
    metrics[METRIC_PACKETS_IN] = (double)sums[IN_PACKETS];
    metrics[METRIC_PACKETS_OUT] = (double)sums[OUT_PACKETS];
    metrics[METRIC_NET_ERRORS] = (double)(sums[IN_ERRORS] + sums[OUT_ERRORS]);
    metrics[METRIC_NET_DROPS] = (double)(sums[IN_DROPS] + sums[OUT_DROPS]);
}
