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

static bool split_line(struct span *name, struct span *rest, struct span line)
{
    uint64_t major_minor[2];
    *rest = line;
    return text_next_numbers(major_minor, 2, rest) && text_next_word(name, rest);
}

struct totals {
    uint64_t read_sectors, write_sectors, operations;
    uint32_t most_busy_ms; /* of one disk since the sample before */
};

/* Adds one disk, the order-th that counts. */
static void add_disk(struct totals *totals, struct disk_state *state, size_t order, const uint64_t fields[FIELDS])
{
    totals->read_sectors += fields[READ_SECTORS];
    totals->write_sectors += fields[WRITE_SECTORS];
    totals->operations += fields[READS] + fields[WRITES];
    if (order >= DISK_MAX)
        return;
    uint32_t busy_ms = (uint32_t)fields[BUSY_MS];
    if (order < state->busy_count) {
        uint32_t grown_ms = busy_ms - state->busy_ms[order];
        if (grown_ms > totals->most_busy_ms)
            totals->most_busy_ms = grown_ms;
    }
    state->busy_ms[order] = busy_ms;
}

void sample_disk(double metrics[METRIC_COUNT], struct disk_state *state, const char *text, int64_t now_ms,
                 const struct device_filter *is_physical)
{
    struct span line, name, rest;
    struct totals totals = {0};
    size_t index = 0, order = 0;
    if (!device_choice_is_current(&state->choice, text, split_line)) {
        device_choice_make(&state->choice, text, split_line, is_physical);
        state->busy_count = 0; /* the orders mean other disks now */
    }
    while (text_next_line(&line, &text)) {
        uint64_t fields[FIELDS];
        if (split_line(&name, &rest, line) && device_choice_has(&state->choice, index++) &&
            text_next_numbers(fields, FIELDS, &rest))
            add_disk(&totals, state, order++, fields);
    }
    int64_t elapsed_ms = now_ms - state->measured_ms;
    if (order > 0) {
        metrics[METRIC_DISK_READ] = (double)totals.read_sectors * SECTOR_LEN;
        metrics[METRIC_DISK_WRITE] = (double)totals.write_sectors * SECTOR_LEN;
        metrics[METRIC_DISK_OPERATIONS] = (double)totals.operations;
        double busiest = (double)totals.most_busy_ms * 100 / (double)(elapsed_ms > 0 ? elapsed_ms : 1);
        if (state->busy_count > 0 && elapsed_ms > 0)
            metrics[METRIC_DISK_BUSIEST] = busiest < 100 ? busiest : 100;
    }
    state->busy_count = order < DISK_MAX ? order : DISK_MAX;
    state->measured_ms = now_ms;
}
