/* SPDX-License-Identifier: GPL-2.0-or-later */
/* observe.c - see observe.h. */
#include "receiver/judge/observe.h"

/* Drops that are further apart are two floods. */
#define DROPS_APART_NS NS_PER_S
#define DROPS_END_NS (NS_PER_S / 2)
#define MINUTE_NS (60 * NS_PER_S)
/* From this many beats on a share means something, also if no single host had to be heard for certain. */
#define EXPECTED_SOME 5.0
#define EXPECTED_MANY 10.0
#define LITTLE 0.9
enum { FLOOD_SHARE = 10 }; /* one datagram in so many */
/* One or two silent hosts prove nothing about the receiver. */
enum { HOSTS_MIN = 3 };

static int64_t second_of(struct instant t)
{
    return wall_seconds((struct wall){t.ns});
}

static uint64_t *slot(struct observation *o, int64_t second)
{
    return &o->before[(uint64_t)second % OBSERVED_S];
}

static void advance(struct observation *o, struct instant now)
{
    int64_t second = second_of(now);
    if (second - o->second > OBSERVED_S)
        o->second = second - OBSERVED_S;
    while (o->second < second)
        *slot(o, ++o->second) = o->beats;
}

void observe_begin(struct observation *o, struct instant now)
{
    *o = (struct observation){
        .second = second_of(now), .began = now, .last_heard = now, .share_from = now, .survey.at = {INT64_MIN}};
}

void observe_heard(struct observation *o, struct instant now)
{
    advance(o, now);
    o->beats++;
    o->last_heard = now;
}

void observe_took(struct observation *o, struct instant now, uint64_t taken, uint64_t dropped)
{
    if (instant_since(now, o->share_from) >= NS_PER_S) {
        o->share_from = now;
        o->share_taken = o->share_dropped = 0;
    }
    o->share_taken += taken;
    o->share_dropped += dropped;
    if (dropped == 0)
        return;
    if (!observe_drops(o, now))
        o->dropped_from = now;
    o->dropped = o->drops_unnoted = true;
    o->dropped_at = now;
    if (o->share_dropped * FLOOD_SHARE > o->share_taken + o->share_dropped)
        o->flooded_at = now;
}

bool observe_drops(const struct observation *o, struct instant now)
{
    return o->dropped && instant_since(now, o->dropped_at) <= DROPS_APART_NS;
}

bool observe_drops_ended(const struct observation *o, struct instant now)
{
    return instant_since(now, o->dropped_at) > DROPS_END_NS;
}

bool observe_floods(const struct observation *o, struct instant now)
{
    return observe_drops(o, now) && instant_since(now, o->flooded_at) <= DROPS_APART_NS;
}

uint64_t observe_count(const struct observation *o, struct instant from, struct instant now)
{
    int64_t first = second_of(from) + 1;
    if (first > o->second || first > second_of(now))
        return 0;
    if (instant_before(from, o->began))
        return o->beats;
    if (o->second - first >= OBSERVED_S)
        first = o->second - OBSERVED_S + 1;
    return o->beats - o->before[(uint64_t)first % OBSERVED_S];
}

/* Whether a host is taken to be up, so that it should be heard. One that stayed silent although we could hear again may well be
 * dead: were it counted, a few dead hosts would vouch for each other and none of them ever be judged. */
static bool should_be_heard(const struct host *host)
{
    if (!host || !host->heard || expectation_interval_ns(&host->expectation) <= 0)
        return false;
    const struct silence_record *record = host->silence;
    if (!record || record->facts.ended)
        return true;
    const struct silence *s = &record->facts;
    return !(s->judged || s->cut_off || host->recovered || s->by_path || s->goodbye != GOODBYE_NONE);
}

/* Looks at every host, so at most once a second. */
static const struct survey *survey(struct observation *o, const struct host_table *hosts, struct instant now)
{
    if (o->survey.at.ns != INT64_MIN && instant_since(now, o->survey.at) < NS_PER_S)
        return &o->survey;
    o->survey = (struct survey){.at = now, .shortest_ns = {INT64_MAX, INT64_MAX}};
    for (uint32_t id = 1; id <= hosts->count; id++) {
        if (!should_be_heard(hosts->hosts[id]))
            continue;
        int64_t interval_ns = expectation_interval_ns(&hosts->hosts[id]->expectation);
        o->survey.hosts++;
        o->survey.rate_hz += (double)NS_PER_S / (double)interval_ns;
        if (interval_ns < o->survey.shortest_ns[0]) {
            o->survey.shortest_ns[1] = o->survey.shortest_ns[0];
            o->survey.shortest_ns[0] = interval_ns;
        } else if (interval_ns < o->survey.shortest_ns[1]) {
            o->survey.shortest_ns[1] = interval_ns;
        }
    }
    return &o->survey;
}

/* Whether less than 90 % of what was due since then was heard. Beats are counted by whole seconds, and so is what was due. */
static bool hears_too_little(const struct observation *o, double rate_hz, struct instant from, struct instant now)
{
    struct instant counted = {(second_of(from) + 1) * NS_PER_S};
    double expected = rate_hz * (double)instant_since(now, counted) / (double)NS_PER_S;
    return expected >= EXPECTED_MANY && (double)observe_count(o, from, now) < LITTLE * expected;
}

enum doubt observe_doubt(struct observation *o, const struct host_table *hosts, const struct host *host,
                         struct instant now)
{
    struct instant from = instant_later(host->deadline[0], o->began); /* a process knows of its own time only */
    int64_t length_ns = instant_since(now, from);
    int64_t interval_ns = expectation_interval_ns(&host->expectation);
    if (length_ns <= 0 || interval_ns <= 0)
        return DOUBT_NONE;
    const struct survey *all = survey(o, hosts, now);
    double rate_hz = all->rate_hz - (double)NS_PER_S / (double)interval_ns;
    double expected = rate_hz * (double)length_ns / (double)NS_PER_S;
    int64_t shortest_ns = all->shortest_ns[interval_ns == all->shortest_ns[0]];
    bool certain = shortest_ns <= length_ns; /* another host had to be heard in that time, were it alive */
    bool dropped = observe_drops(o, now) && instant_before(from, o->dropped_at);
    if (all->hosts >= HOSTS_MIN && !instant_before(from, o->last_heard) && expected >= 1 &&
        (certain || expected >= EXPECTED_SOME))
        return dropped ? DOUBT_OVERLOADED : DOUBT_DEAF;
    return dropped && (observe_floods(o, now) || hears_too_little(o, rate_hz, from, now)) ? DOUBT_OVERLOADED
                                                                                          : DOUBT_NONE;
}

bool observe_hears_little(struct observation *o, const struct host_table *hosts, struct instant now)
{
    struct instant from = instant_later(instant_add(now, -MINUTE_NS), o->began);
    double expected = survey(o, hosts, now)->rate_hz * (double)instant_since(now, from) / (double)NS_PER_S;
    return (double)observe_count(o, from, now) < LITTLE * expected;
}
