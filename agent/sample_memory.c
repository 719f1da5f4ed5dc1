/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_memory.c - see sample_memory.h. Kernels before 3.14 do not tell what is available: it is then taken as free
 * memory and caches, as everybody did. */
#include "agent/sample_memory.h"

#include <stdbool.h>
#include <stdint.h>

#include "agent/sample_text.h"

enum field { TOTAL, AVAILABLE, FREE, BUFFERS, CACHED, SWAP_TOTAL, SWAP_FREE, FIELDS };

static const char *const field_names[FIELDS] = {
    "MemTotal:", "MemAvailable:", "MemFree:", "Buffers:", "Cached:", "SwapTotal:", "SwapFree:"};

static double percent_used(double total, double left)
{
    return left < total ? (total - left) / total * 100 : 0;
}

void sample_memory(double metrics[METRIC_COUNT], const char *text)
{
    struct span line, word;
    bool have[FIELDS] = {false};
    double bytes[FIELDS] = {0};
    while (text_next_line(&line, &text)) {
        if (!text_next_word(&word, &line))
            continue;
        for (int i = 0; i < FIELDS; i++) {
            uint64_t kib;
            if (span_is(word, field_names[i]) && text_next_number(&kib, &line)) {
                have[i] = true;
                bytes[i] = (double)kib * 1024;
                break;
            }
        }
    }
    if (!have[AVAILABLE] && have[FREE] && have[BUFFERS] && have[CACHED]) {
        have[AVAILABLE] = true;
        bytes[AVAILABLE] = bytes[FREE] + bytes[BUFFERS] + bytes[CACHED];
    }
    if (have[TOTAL])
        metrics[METRIC_MEM_TOTAL] = bytes[TOTAL];
    if (have[AVAILABLE])
        metrics[METRIC_MEM_AVAILABLE] = bytes[AVAILABLE];
    if (have[TOTAL] && have[AVAILABLE])
        metrics[METRIC_MEM_USED] = percent_used(bytes[TOTAL], bytes[AVAILABLE]);
    if (have[SWAP_TOTAL] && have[SWAP_FREE])
        metrics[METRIC_SWAP_USED] = percent_used(bytes[SWAP_TOTAL], bytes[SWAP_FREE]);
}
