/* SPDX-License-Identifier: GPL-2.0-or-later */
/* flush_plan.c - see flush_plan.h. */
#include "receiver/listen/flush_plan.h"

#include <stdlib.h>
#include <string.h>

#define INTERVAL_SMALL_NS (300 * NS_PER_S)
#define INTERVAL_LARGE_NS (900 * NS_PER_S)
#define INTERVAL_LARGE_HOSTS 2000
/* On request; a job of so many takes well under a second, and the next one can be another's. */
#define REQUESTED_PER_JOB 1000
#define TRIMS_PER_TURN 16

/* Hosts whose files somebody asked for. */
struct request {
    uint32_t *hosts; /* owned */
    size_t count, next;
    struct waiter *waiter; /* owned until the last of them is in a job */
    struct request *behind;
};

struct flush_plan {
    struct receiver *receiver;
    int64_t interval_ns;
    struct instant planned_at;
    struct request *requests;
    uint32_t queue_first, queue_last; /* ids; the rest is chained by the hosts themselves */
    double makes;                     /* files that may be made now */
    uint32_t wheel;                   /* host that it passed last */
    double wheel_debt;
    uint32_t passed; /* hosts that it passed since the journal was last trimmed */
};

/* The wheel goes on with the host whose facts have waited longest in the journal: where it was when the run before ended. A receiver
 * that is killed again and again would else write the first hosts only, and keep the facts of all others for ever. */
static void place_wheel(struct flush_plan *plan, const struct host_table *table)
{
    uint64_t lowest = UINT64_MAX;
    for (uint32_t id = 1; id <= table->count; id++)
        if (table->hosts[id] && table->hosts[id]->position < lowest) {
            lowest = table->hosts[id]->position;
            plan->wheel = id - 1;
        }
    plan->passed = UINT32_MAX / 2; /* the journal may be trimmed at once: the run before wrote files, too */
    plan->wheel_debt = 1;          /* a run shorter than it takes to pass one host passes one all the same */
}

struct flush_plan *flush_plan_create(struct receiver *receiver)
{
    struct flush_plan *plan = calloc(1, sizeof *plan);
    if (!plan)
        return NULL;
    plan->receiver = receiver;
    const struct host_table *table = receiver_hosts(receiver);
    for (uint32_t id = 1; id <= table->count; id++)
        if (table->hosts[id])
            flush_plan_queue(plan, table->hosts[id]);
    place_wheel(plan, table);
    return plan;
}

static void free_request(struct request *request)
{
    free(request->hosts);
    free(request->waiter);
    free(request);
}

void flush_plan_destroy(struct flush_plan *plan)
{
    while (plan && plan->requests) {
        struct request *request = plan->requests;
        plan->requests = request->behind;
        free_request(request);
    }
    free(plan);
}

void flush_plan_set_interval(struct flush_plan *plan, int64_t interval_ns)
{
    plan->interval_ns = interval_ns;
}

/* ---- the queue ---- */

static void push(struct flush_plan *plan, struct host *host)
{
    if (host->in_queue)
        return;
    host->in_queue = true;
    host->queue_next = 0;
    if (plan->queue_last)
        receiver_hosts(plan->receiver)->hosts[plan->queue_last]->queue_next = host->id;
    else
        plan->queue_first = host->id;
    plan->queue_last = host->id;
}

static struct host *pop(struct flush_plan *plan)
{
    struct host *host = receiver_hosts(plan->receiver)->hosts[plan->queue_first];
    plan->queue_first = host->queue_next;
    if (!plan->queue_first)
        plan->queue_last = 0;
    host->in_queue = false;
    return host;
}

void flush_plan_queue(struct flush_plan *plan, struct host *host)
{
    if (host_is_outdated(host))
        push(plan, host);
}

size_t flush_plan_outdated(const struct flush_plan *plan)
{
    const struct host_table *table = receiver_hosts(plan->receiver);
    size_t count = 0;
    for (uint32_t id = 1; id <= table->count; id++)
        count += table->hosts[id] && host_is_outdated(table->hosts[id]);
    return count;
}

/* Whether writing state.rrd is to make it. */
static bool is_to_be_made(const struct host *host)
{
    return host->written_to == 0 || host_is_outdated(host);
}

static void take_queue(struct flush_plan *plan, struct flush_job *job, struct instant now)
{
    while (plan->queue_first && plan->makes >= 1) {
        struct host *host = pop(plan);
        if (host->in_flush || !is_to_be_made(host))
            continue; /* somebody asked for it meanwhile */
        plan->makes--;
        flush_job_add(job, plan->receiver, host, FLUSH_ALL, now);
    }
}

/* ---- requests ---- */

int flush_plan_request(struct flush_plan *plan, const uint32_t *hosts, size_t count, void (*done)(void *context),
                       void *context)
{
    struct request *request = calloc(1, sizeof *request);
    if (!request)
        return -1;
    request->hosts = malloc((count + 1) * sizeof *hosts);
    request->waiter = waiter_create(done, context);
    if (!request->hosts || !request->waiter) {
        free_request(request);
        return -1;
    }
    memcpy(request->hosts, hosts, count * sizeof *hosts);
    request->count = count;
    struct request **end = &plan->requests;
    while (*end)
        end = &(*end)->behind;
    *end = request;
    return 0;
}

bool flush_plan_has_requests(const struct flush_plan *plan)
{
    return plan->requests != NULL;
}

void flush_plan_forget(struct flush_plan *plan, const void *context)
{
    for (struct request *request = plan->requests; request; request = request->behind)
        waiters_forget(request->waiter, context);
}

/* Adds the next host of a request. False if there is none, or none may be made now. */
static bool take_next(struct flush_plan *plan, struct request *request, struct flush_job *job, struct instant now)
{
    if (request->next == request->count)
        return false;
    struct host *host = receiver_hosts(plan->receiver)->hosts[request->hosts[request->next]];
    if (host && !host->in_flush && is_to_be_made(host)) {
        if (plan->makes < 1)
            return false;
        plan->makes--;
    }
    flush_job_add(job, plan->receiver, host, FLUSH_ALL, now);
    request->next++;
    return true;
}

/* In turns, so that who asks for one host does not wait for who asks for all. */
static void take_requests(struct flush_plan *plan, struct flush_job *job, struct instant now, struct waiter **waiters)
{
    for (bool more = true; more && flush_job_count(job) < REQUESTED_PER_JOB;) {
        more = false;
        for (struct request *request = plan->requests; request; request = request->behind)
            more = take_next(plan, request, job, now) || more;
    }
    for (struct request **at = &plan->requests; *at;) {
        struct request *request = *at;
        if (request->next < request->count) {
            at = &request->behind;
            continue;
        }
        *at = request->behind;
        waiters_append(waiters, request->waiter);
        request->waiter = NULL;
        free_request(request);
    }
}

/* ---- the wheel ---- */

static int64_t interval_ns(const struct flush_plan *plan, uint32_t hosts)
{
    if (plan->interval_ns)
        return plan->interval_ns;
    return hosts < INTERVAL_LARGE_HOSTS ? INTERVAL_SMALL_NS : INTERVAL_LARGE_NS;
}

/* The hosts whose turn it is: each one once in an interval, spread evenly. */
static void turn_wheel(struct flush_plan *plan, struct flush_job *job, int64_t elapsed_ns, struct instant now)
{
    const struct host_table *table = receiver_hosts(plan->receiver);
    plan->wheel_debt += table->count * (double)elapsed_ns / (double)interval_ns(plan, table->count);
    if (plan->wheel_debt > table->count)
        plan->wheel_debt = table->count; /* after a long stall: nobody twice */
    for (; plan->wheel_debt >= 1; plan->wheel_debt--, plan->passed++) {
        plan->wheel = plan->wheel % table->count + 1;
        struct host *host = table->hosts[plan->wheel];
        if (!host || host->in_flush)
            continue;
        bool make = is_to_be_made(host);
        if (make)
            push(plan, host); /* also one that could not be made before */
        flush_job_add(job, plan->receiver, host, make ? FLUSH_ROWS : FLUSH_ALL, now);
    }
}

/* A turn of the wheel lets go of as many facts as were heard in it: not in one commit. */
uint64_t flush_plan_trim(struct flush_plan *plan)
{
    const struct host_table *table = receiver_hosts(plan->receiver);
    if (plan->passed <= table->count / TRIMS_PER_TURN)
        return 0;
    plan->passed = 0;
    uint64_t lowest = receiver_last_fact(plan->receiver);
    for (uint32_t id = 1; id <= table->count; id++)
        if (table->hosts[id] && table->hosts[id]->position < lowest)
            lowest = table->hosts[id]->position;
    return lowest;
}

void flush_plan_fill(struct flush_plan *plan, struct flush_job *job, struct instant now, struct waiter **waiters)
{
    if (plan->planned_at.ns == 0)
        plan->planned_at = instant_add(now, -NS_PER_S);
    int64_t elapsed_ns = instant_since(now, plan->planned_at);
    plan->planned_at = now;
    plan->makes += FLUSH_PLAN_MAKES_PER_S * (double)elapsed_ns / (double)NS_PER_S;
    if (plan->makes > FLUSH_PLAN_MAKES_PER_S)
        plan->makes = FLUSH_PLAN_MAKES_PER_S;
    take_requests(plan, job, now, waiters);
    take_queue(plan, job, now);
    turn_wheel(plan, job, elapsed_ns, now);
}
