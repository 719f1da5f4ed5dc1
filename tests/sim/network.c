/* SPDX-License-Identifier: GPL-2.0-or-later */
/* network.c - datagrams on their way: lost, doubled, delayed, overtaken. See sim.h.
 *
 * A heap orders them by arrival; two that arrive in the same instant keep the order in which they were sent. */
#include "tests/sim/sim.h"

#include <stdlib.h>

#define NO_SLOT UINT32_MAX

static bool flies_before(const struct sim_flight *a, const struct sim_flight *b)
{
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static uint32_t take_slot(struct sim *sim)
{
    if (sim->pool_capacity == 0)
        sim->free_slot = NO_SLOT;
    if (sim->free_slot == NO_SLOT) {
        size_t count = sim->pool_capacity;
        sim->pool = sim_grow(sim->pool, &sim->pool_capacity, count, sizeof *sim->pool);
        for (size_t i = count; i < sim->pool_capacity; i++) {
            sim->pool[i].next_free = sim->free_slot;
            sim->free_slot = (uint32_t)i;
        }
    }
    uint32_t slot = sim->free_slot;
    sim->free_slot = sim->pool[slot].next_free;
    return slot;
}

static void fly(struct sim *sim, const struct sim_datagram *datagram, int64_t at)
{
    uint32_t slot = take_slot(sim);
    sim->pool[slot] = *datagram;
    sim->flights = sim_grow(sim->flights, &sim->flight_capacity, sim->flight_count, sizeof *sim->flights);
    struct sim_flight flight = {at, sim->sent++, slot};
    size_t i = sim->flight_count++;
    for (; i > 0 && flies_before(&flight, &sim->flights[(i - 1) / 2]); i = (i - 1) / 2)
        sim->flights[i] = sim->flights[(i - 1) / 2];
    sim->flights[i] = flight;
}

/* Bad times come and go as a process without memory; both directions of a host see the same. */
static bool is_lost_in_burst(struct sim *sim, struct sim_host *host)
{
    const struct sim_burst *burst = &sim->options.burst;
    if (burst->share <= 0)
        return false;
    int64_t good_mean_ns = (int64_t)((double)burst->mean_ns * (1 - burst->share) / burst->share);
    while (host->burst_changes <= sim->now) {
        host->in_burst = host->burst_changes > 0 && !host->in_burst;
        int64_t mean_ns = host->in_burst ? burst->mean_ns : good_mean_ns;
        host->burst_changes += 1 + sim_random_exponential(&sim->network, mean_ns);
    }
    return host->in_burst && sim_random_chance(&sim->network, burst->loss);
}

static void send_once(struct sim *sim, const struct sim_link *link, const struct sim_datagram *datagram)
{
    int64_t delay_ns = link->delay_ns;
    if (link->jitter_ns > 0)
        delay_ns += sim_random_exponential(&sim->network, link->jitter_ns);
    if (sim_random_chance(&sim->network, link->reorder))
        delay_ns += sim_random_between(&sim->network, 0, link->reorder_ns);
    fly(sim, datagram, sim->now + delay_ns);
}

/* Without a memory: what is sent besides in one run and not in another changes nothing for the rest. */
static bool is_lost(struct sim *sim, const struct sim_datagram *datagram, double loss)
{
    struct sim_random random;
    if (!sim->options.steady)
        return sim_random_chance(&sim->network, loss);
    uint64_t place = datagram->host * 2 + datagram->to_agent;
    sim_random_init(&random, sim->options.seed ^ (uint64_t)sim->now, 1000 + place);
    return sim_random_chance(&random, loss);
}

static void send_datagram(struct sim *sim, const struct sim_datagram *datagram)
{
    struct sim_host *host = &sim->hosts[datagram->host];
    const struct sim_link *link = datagram->to_agent ? &sim->options.to_agent : &sim->options.to_receiver;
    sim->datagrams++;
    if (host->cut || is_lost(sim, datagram, link->loss) || is_lost_in_burst(sim, host))
        return;
    send_once(sim, link, datagram);
    if (sim_random_chance(&sim->network, link->duplicate))
        send_once(sim, link, datagram);
}

void sim_network_send(struct sim *sim, size_t index, const struct agent_message *message, int64_t due)
{
    struct sim_datagram datagram = {.host = index, .agent_start = sim->hosts[index].agent_start, .due = due};
    datagram.message = *message;
    send_datagram(sim, &datagram);
}

void sim_network_answer(struct sim *sim, size_t index, const struct receiver_answer *answer)
{
    if (answer->type == ANSWER_NONE)
        return;
    struct sim_datagram datagram = {.host = index, .to_agent = true, .agent_start = sim->hosts[index].agent_start};
    datagram.answer = *answer;
    send_datagram(sim, &datagram);
}

int64_t sim_network_due(const struct sim *sim)
{
    return sim->flight_count > 0 ? sim->flights[0].at : INT64_MAX;
}

const struct sim_datagram *sim_network_take(struct sim *sim)
{
    uint32_t slot = sim->flights[0].slot;
    struct sim_flight last = sim->flights[--sim->flight_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= sim->flight_count)
            break;
        if (child + 1 < sim->flight_count && flies_before(&sim->flights[child + 1], &sim->flights[child]))
            child++;
        if (!flies_before(&sim->flights[child], &last))
            break;
        sim->flights[i] = sim->flights[child];
        i = child;
    }
    if (sim->flight_count > 0)
        sim->flights[i] = last;
    sim->pool[slot].next_free = sim->free_slot;
    sim->free_slot = slot;
    return &sim->pool[slot];
}

void sim_network_put_off(struct sim *sim, const struct sim_datagram *datagram, int64_t at)
{
    struct sim_datagram copy = *datagram;
    copy.waits_for = sim->starts;
    fly(sim, &copy, at);
}

void sim_network_free(struct sim *sim)
{
    free(sim->pool);
    free(sim->flights);
}
