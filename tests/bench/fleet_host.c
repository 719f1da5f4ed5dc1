/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fleet_host.c - see fleet_host.h. */
#include "tests/bench/fleet_host.h"

#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#include "agent/agent.h"

#define BYTES_A_SECOND_MAX 4096 /* a period's bytes, divided by 300, fit into the 24 bits of a float */

int fleet_host_init(struct fleet_host *host, const struct key *site, uint32_t index,
                    const struct agent_options *options)
{
    struct key key;
    struct agent_options own = *options;
    memset(host, 0, sizeof *host);
    host->index = index;
    (void)snprintf(host->name, sizeof host->name, "h%u", index);
    key_derive_host(&key, site, 1, host->name, strlen(host->name));
    key_derive_agent(&host->agent_key, &key);
    key_derive_ack(&host->ack_key, &key);
    randombytes_buf(&host->agent_start, sizeof host->agent_start);
    own.agent_start = host->agent_start;
    host->core = agent_create(&own);
    return host->core ? 0 : -1;
}

/* What arrives at a host within one second: different each second, the same in every run. */
static double bytes_of(uint32_t index, int64_t second)
{
    uint64_t x = (uint64_t)second * UINT64_C(0x9E3779B97F4A7C15) + index * UINT64_C(0xBF58476D1CE4E5B9);
    x ^= x >> 31;
    x *= UINT64_C(0x94D049BB133111EB);
    return (double)(x >> 40 & (BYTES_A_SECOND_MAX - 1));
}

static void count(struct fleet_host *host, const struct fleet_clocks *clocks, int64_t second)
{
    if (host->number == 0) {
        host->counter = host->index * 1000.0;
        host->counted_to = second;
        host->first_period = second - second % FLEET_PERIOD_S;
    }
    for (; host->counted_to < second; host->counted_to++) {
        int64_t phase = host->counted_to % FLEET_PERIOD_S;
        if (phase < clocks->guard_s || phase >= FLEET_PERIOD_S - clocks->guard_s)
            continue;
        double bytes = bytes_of(host->index, host->counted_to);
        int64_t period = (host->counted_to - host->first_period) / FLEET_PERIOD_S;
        host->counter += bytes;
        if (period < FLEET_PERIODS_MAX)
            host->moved[period] += bytes;
    }
}

void fleet_host_sample(struct fleet_host *host, const struct fleet_clocks *clocks, struct instant due,
                       struct agent_sample *sample)
{
    int64_t wall_ns = due.ns + clocks->wall_minus_mono_ns;
    count(host, clocks, wall_ns / NS_PER_S);
    host->number++;
    sample->uptime_ms = (uint64_t)((due.ns + clocks->boot_minus_mono_ns) / NS_PER_MS);
    sample->run_ms = (uint64_t)(due.ns / NS_PER_MS);
    for (int i = 0; i < METRIC_COUNT; i++)
        sample->metrics[i] = metric_catalogue[i].kind == METRIC_GAUGE ? 1 + i : (double)(due.ns / NS_PER_S);
    sample->metrics[METRIC_NET_IN] = host->counter;
    sample->metrics[METRIC_NET_OUT] = 2 * host->counter;
}

void fleet_host_sent(struct fleet_host *host, const struct agent_message *message, int64_t now_ns)
{
    const struct beat *beat = &message->beat;
    host->told[message->receiver].sent[beat->counter % FLEET_RING] =
        (struct fleet_sent){beat->session, beat->counter, beat->number, beat->oldest_kept, now_ns};
}

static void mark(uint64_t *bits, uint32_t number)
{
    if (number < FLEET_NUMBERS_MAX)
        bits[number / 64] |= UINT64_C(1) << (number % 64);
}

int64_t fleet_host_acked(struct fleet_host *host, size_t receiver, const struct ack *ack, int64_t now_ns)
{
    struct fleet_told *told = &host->told[receiver];
    const struct fleet_sent *sent = &told->sent[ack->counter % FLEET_RING];
    if (sent->session != ack->session || sent->counter != ack->counter)
        return -1;
    mark(told->acked, sent->number);
    for (uint32_t number = sent->oldest_kept; number <= ack->safe && number < FLEET_NUMBERS_MAX; number++)
        mark(told->safe, number);
    return now_ns - sent->at_ns;
}

static bool is_marked(const uint64_t *bits, uint32_t number)
{
    return number < FLEET_NUMBERS_MAX && (bits[number / 64] >> (number % 64) & 1);
}

void fleet_host_tell(const struct fleet_host *host, size_t receiver, FILE *out)
{
    const struct fleet_told *told = &host->told[receiver];
    uint32_t acked = 0;
    for (uint32_t number = 1; number < FLEET_NUMBERS_MAX; number++)
        acked += is_marked(told->acked, number);
    fprintf(out, "%s %" PRIu64 " %u %u %" PRId64 " ", host->name, host->agent_start, host->number, acked,
            host->first_period);
    for (int i = 0; i < FLEET_PERIODS_MAX; i++)
        fprintf(out, "%s%.0f", i ? "," : "", host->moved[i]);
    char separator = ' ';
    for (uint32_t number = 1; number < FLEET_NUMBERS_MAX; number++) {
        uint32_t first = number;
        while (is_marked(told->safe, number))
            number++;
        if (number > first) {
            fprintf(out, "%c%u-%u", separator, first, number - 1);
            separator = ',';
        }
    }
    fprintf(out, "\n");
}
