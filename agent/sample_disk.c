/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_disk.c - see sample_disk.h.
 *
 * A line: major, minor, name, then reads completed, merged, sectors, ms; the same four of writes; requests in
 * flight; ms in which there was any (busy); and more that is of no use here. Sectors are always 512 bytes. */
#include "agent/sample_disk.h"

#define SECTOR_LEN 512

enum {
    READS,
    READS_MERGED,
    READ_SECTORS,
    READ_MS,
    WRITES,
    WRITES_MERGED,
    WRITE_SECTORS,
    WRITE_MS,
    IN_FLIGHT,
    BUSY_MS,
    FIELDS
};

enum { TOTAL_READ, TOTAL_WRITE, TOTAL_OPERATIONS, TOTALS, LAST_BUSY_MS = TOTALS };

static bool split_line(struct span *name, struct span *rest, struct span line)
{
    uint64_t major_minor[2];
    *rest = line;
    return text_next_numbers(major_minor, 2, rest) && text_next_word(name, rest);
}

/* Takes the order-th disk that counts. Returns for how long it was busy since the sample before, 0 if that is not
 * known; the kernel's number has 32 bits. */
static uint32_t add_disk(struct disk_state *state, size_t order, const uint64_t fields[FIELDS])
{
    struct device *device = &state->table.devices[order];
    bool comparable = state->measured && device->known;
    uint32_t busy_ms = (uint32_t)fields[BUSY_MS] - (uint32_t)device->raw[LAST_BUSY_MS];
    uint64_t raw[TOTALS] = {[TOTAL_READ] = fields[READ_SECTORS],
                            [TOTAL_WRITE] = fields[WRITE_SECTORS],
                            [TOTAL_OPERATIONS] = fields[READS] + fields[WRITES]};
    bool is_new = fields[READS] + fields[WRITES] < device->raw[TOTAL_OPERATIONS]; /* another disk of the same name */
    device_table_add(&state->table, order, raw, TOTALS);
    device->raw[LAST_BUSY_MS] = fields[BUSY_MS];
    return comparable && !is_new ? busy_ms : 0;
}

void sample_disk(double metrics[METRIC_COUNT], struct disk_state *state, const char *text, int64_t now_ms,
                 const struct device_filter *filter)
{
    struct span line, name, rest;
    struct device_table *table = &state->table;
    size_t index = 0, order = 0;
    uint32_t most_busy_ms = 0;
    if (text[0] == '\0')
        return;
    device_table_choose(table, text, split_line, filter, NULL);
    while (text_next_line(&line, &text) && order < table->count) {
        uint64_t fields[FIELDS];
        if (!split_line(&name, &rest, line) || !device_table_has(table, index++))
            continue;
        if (text_next_numbers(fields, FIELDS, &rest)) {
            uint32_t busy_ms = add_disk(state, order, fields);
            most_busy_ms = busy_ms > most_busy_ms ? busy_ms : most_busy_ms;
        }
        order++;
    }
    if (!table->begun)
        return;
    metrics[METRIC_DISK_READ] = (double)table->totals[TOTAL_READ] * SECTOR_LEN;
    metrics[METRIC_DISK_WRITE] = (double)table->totals[TOTAL_WRITE] * SECTOR_LEN;
    metrics[METRIC_DISK_OPERATIONS] = (double)table->totals[TOTAL_OPERATIONS];
    int64_t elapsed_ms = now_ms - state->measured_ms;
    if (state->measured && elapsed_ms > 0) {
        double busiest = (double)most_busy_ms * 100 / (double)elapsed_ms;
        metrics[METRIC_DISK_BUSIEST] = busiest < 100 ? busiest : 100;
    }
    state->measured = true;
    state->measured_ms = now_ms;
}
