/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample_totals.c - see sample_totals.h. Devices of which no counters are known yet are left out: to the next run they
 * are as new as to this one. */
#include "agent/sample_totals.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/sample_text.h"

#define NUMBER_LEN 21 /* a blank and 64 bits */
#define LINE_SIZE (16 + (1 + DEVICE_COUNTER_MAX) * NUMBER_LEN)

/* How the lines of a table begin. */
struct labels {
    const char *table, *device;
};

static const struct labels disk_labels = {"disks", "disk"}, interface_labels = {"interfaces", "interface"};

size_t totals_size(const struct totals *totals)
{
    return (8 + totals->disks->count + totals->interfaces->count) * LINE_SIZE;
}

/* The text being written. */
struct writer {
    char *text;
    size_t len, size;
};

static void put_word(struct writer *writer, const char *word)
{
    writer->len += (size_t)snprintf(writer->text + writer->len, writer->size - writer->len, "%s", word);
}

static void put_numbers(struct writer *writer, const uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        writer->len +=
            (size_t)snprintf(writer->text + writer->len, writer->size - writer->len, " %" PRIu64, numbers[i]);
}

static void put_table(struct writer *writer, const struct device_table *table, const struct labels *labels)
{
    if (!table->begun)
        return;
    put_word(writer, labels->table);
    put_numbers(writer, table->totals, DEVICE_COUNTER_MAX);
    put_word(writer, "\n");
    for (size_t i = 0; i < table->count; i++) {
        const struct device *device = &table->devices[i];
        if (!device->known)
            continue;
        put_word(writer, labels->device);
        put_numbers(writer, &device->id, 1);
        put_numbers(writer, device->raw, DEVICE_COUNTER_MAX);
        put_word(writer, "\n");
    }
}

size_t totals_print(const struct totals *totals, char *text, size_t size)
{
    struct writer writer = {.text = text, .size = size};
    put_word(&writer, "boot ");
    put_word(&writer, totals->boot);
    put_word(&writer, "\n");
    if (totals->cpu->cpu_count > 0) {
        put_word(&writer, "cpu");
        put_numbers(&writer, &totals->cpu->cpu_count, 1);
        put_numbers(&writer, totals->cpu->base_ticks, CPU_SHARES);
        put_numbers(&writer, totals->cpu->base_micropercent, CPU_SHARES);
        put_word(&writer, "\n");
    }
    put_table(&writer, totals->disks, &disk_labels);
    put_table(&writer, totals->interfaces, &interface_labels);
    put_word(&writer, "end\n");
    return writer.len;
}

static bool take_table(struct device_table *table, const struct labels *labels, struct span word, struct span line)
{
    if (span_is(word, labels->table) && !table->begun) {
        table->begun = true;
        return text_next_numbers(table->totals, DEVICE_COUNTER_MAX, &line);
    }
    if (!span_is(word, labels->device) || !table->begun || table->count == DEVICE_MAX)
        return false;
    struct device *device = &table->devices[table->count++];
    device->known = true;
    return text_next_number(&device->id, &line) && device->id != 0 &&
           text_next_numbers(device->raw, DEVICE_COUNTER_MAX, &line);
}

static bool take_cpu(struct cpu_state *cpu, struct span word, struct span line)
{
    bool ok = span_is(word, "cpu") && cpu->cpu_count == 0 && text_next_number(&cpu->cpu_count, &line) &&
              cpu->cpu_count > 0 && text_next_numbers(cpu->base_ticks, CPU_SHARES, &line) &&
              text_next_numbers(cpu->base_micropercent, CPU_SHARES, &line);
    memcpy(cpu->last_ticks, cpu->base_ticks, sizeof cpu->last_ticks);
    return ok;
}

bool totals_parse(struct totals *totals, const char *text)
{
    struct span line, word;
    bool ok = text_next_line(&line, &text) && text_next_word(&word, &line) && span_is(word, "boot") &&
              text_next_word(&word, &line) && span_is(word, totals->boot);
    bool ended = false;
    while (ok && !ended) {
        ok = text_next_line(&line, &text) && text_next_word(&word, &line);
        ended = ok && span_is(word, "end");
        ok =
            ended || (ok && (take_cpu(totals->cpu, word, line) || take_table(totals->disks, &disk_labels, word, line) ||
                             take_table(totals->interfaces, &interface_labels, word, line)));
    }
    if (ok)
        return true;
    memset(totals->cpu, 0, sizeof *totals->cpu);
    memset(totals->disks, 0, sizeof *totals->disks);
    memset(totals->interfaces, 0, sizeof *totals->interfaces);
    return false;
}
