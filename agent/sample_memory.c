/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_memory.c - see sample_memory.h. Kernels before 3.14 do not tell what is available: it is then taken as free
 * memory and caches, as everybody did. */
#include "agent/sample_memory.h"

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

static bool parse_bytes(double *bytes, const char *text)
{
    struct span line;
    uint64_t number;
    bool ok = text_next_line(&line, &text) && text_next_number(&number, &line);
    *bytes = ok ? (double)number : 0;
    return ok;
}

/* Version 1 tells the group without its children first, and then, as total_*, with them. */
static bool is_cache(struct span word, bool with_children)
{
    static const char *const names[][2] = {{"active_file", "total_active_file"},
                                           {"inactive_file", "total_inactive_file"},
                                           {"slab_reclaimable", "slab_reclaimable"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (span_is(word, names[i][with_children]))
            return true;
    return false;
}

bool memory_group_parse(struct memory_group *out, const char *limit, const char *usage, const char *stat)
{
    struct span line, word;
    double used, cache[2] = {0};
    bool has_totals = false;
    if (!parse_bytes(&out->limit, limit) || !parse_bytes(&used, usage)) /* no limit: "max", or a very large number */
        return false;
    while (text_next_line(&line, &stat)) {
        uint64_t bytes;
        if (!text_next_word(&word, &line))
            continue;
        has_totals = has_totals || span_begins(word, "total_");
        bool counts[2] = {is_cache(word, false), is_cache(word, true)};
        if ((counts[0] || counts[1]) && text_next_number(&bytes, &line))
            for (int i = 0; i < 2; i++)
                cache[i] += counts[i] ? (double)bytes : 0;
    }
    used -= cache[has_totals];
    out->available = used > 0 ? out->limit - used : out->limit;
    if (out->available < 0)
        out->available = 0;
    return true;
}

void sample_memory_group(double metrics[METRIC_COUNT], const struct memory_group *group)
{
    double available = metrics[METRIC_MEM_AVAILABLE];
    if (!(group->limit < metrics[METRIC_MEM_TOTAL]))
        return;
    if (!(available < group->available)) /* also if it is not known */
        available = group->available;
    metrics[METRIC_MEM_TOTAL] = group->limit;
    metrics[METRIC_MEM_AVAILABLE] = available;
    metrics[METRIC_MEM_USED] = group->limit > 0 ? percent_used(group->limit, available) : 100;
}
