/* SPDX-License-Identifier: GPL-2.0-or-later */
/* recorded.c - recorded DATA: which beats are in the record of a receiver that does not run (or in a copy of it): loads it as the
 * receiver does, and prints for each host `NAME AGENT_START NEWEST RANGES`, the numbers known among the newest 512. */
#include <inttypes.h>
#include <stdio.h>

#include "receiver/judge/receiver.h"
#include "receiver/record/journal.h"

static void print_host(const struct host *host)
{
    const struct numbers *numbers = &host->numbers;
    uint32_t newest = numbers->newest;
    uint32_t number = newest > NUMBERS_BITS ? newest - NUMBERS_BITS + 1 : 1;
    char separator = ' ';
    printf("%s %" PRIu64 " %u", host->name, host->agent_start, newest);
    for (; number <= newest; number++) {
        uint32_t first = number;
        while (number <= newest && numbers_is_known(numbers, number))
            number++;
        if (number > first) {
            printf("%c%u-%u", separator, first, number - 1);
            separator = ',';
        }
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    struct error error = {0};
    struct journal_start start;
    struct receiver_options options = {.planned_limit_ns = 3600 * NS_PER_S, .host_count_max = 1000000};
    if (argc != 2) {
        fprintf(stderr, "usage: recorded DATA\n");
        return 2;
    }
    struct receiver *receiver = receiver_create(&options);
    struct journal *journal = journal_open(argv[1], &error);
    if (!receiver || !journal || journal_load(journal, receiver, &start, &error) != 0) {
        fprintf(stderr, "recorded: %s\n", error.text);
        return 1;
    }
    const struct host_table *table = receiver_hosts(receiver);
    for (uint32_t id = 1; id <= table->count; id++)
        if (table->hosts[id])
            print_host(table->hosts[id]);
    journal_close(journal);
    receiver_destroy(receiver);
    return 0;
}
