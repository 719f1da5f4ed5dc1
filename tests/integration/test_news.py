#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_news.py - what is entered at one receiver is known to its peers: maintenance, and what outages count as. Real receivers and
agents; each receiver is killed or stopped at some point, one has a clock that is hours off.
"""
import contextlib
import pathlib
import signal
import sqlite3
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from wallclock import WallClock  # noqa: E402  pylint: disable=wrong-import-position
from world import World, check, equal, own, run_tests, sleep_until, wait_until  # noqa: E402  pylint: disable=wrong-import-position

OWNER = {"env": {"ASAN_OPTIONS": "detect_leaks=0"}}  # the leak check cannot look into a process that changed its user
SOON = 10  # seconds within which peers know: they meet within 5
SLACK = 2.5  # an edge that travelled: whole seconds at both ends


def met(*receivers):
    def all_heard():
        for receiver in receivers:
            answer = receiver.try_ask("status", hosts=["-"])
            if not answer or not all(p["heard"] for p in answer["receiver"]["peers"]):
                return False
        return True
    wait_until(all_heard, 20, "the receivers hear each other")


def peers(world, *names, clocks=None):
    """Receivers that are peers of each other."""
    receivers = [world.receiver(name) for name in names]
    for receiver in receivers:
        if clocks and receiver.name in clocks:
            receiver.environment = clocks[receiver.name].environment
        receiver.start()
    for receiver in receivers:
        others = {r.name: {"address": "%s:%d" % r.address} for r in receivers if r is not receiver}
        receiver.write_settings(peer=others)
        receiver.signal(signal.SIGHUP)
    met(*receivers)
    return receivers


def listed(receiver, pattern=None):
    """What is not over."""
    found = receiver.json("maintenance", "list")["maintenance"]
    return [w for w in found if pattern in (None, w["pattern"])]


def one(receiver, pattern, seconds=SOON):
    """The only window of that pattern, once it is known."""
    found = wait_until(lambda: listed(receiver, pattern), seconds, lambda: f"{receiver.name} knows of {pattern}: {listed(receiver)}")
    equal(len(found), 1, f"windows of {pattern} at {receiver.name}: {found}")
    return found[0]


def gone(receiver, pattern, seconds=SOON):
    wait_until(lambda: not listed(receiver, pattern), seconds, lambda: f"{pattern} is over at {receiver.name}: {listed(receiver, pattern)}")


def warm(agents, receivers):
    for agent in agents:
        agent.start()
    for receiver in receivers:
        for agent in agents:
            receiver.wait_state(agent.name, "up")
            wait_until(lambda r=receiver, a=agent: r.look(a.name)["interval"] < 1.1, 20, f"the interval of {agent.name} is learned")


def near(got, wanted, what, slack=SLACK):
    check(got is not None and abs(got - wanted) <= slack, f"{what}: {got}, wanted {wanted}")


def rows(receiver, sql):
    with contextlib.closing(sqlite3.connect(receiver.data / "receiver.db")) as db:
        return db.execute(sql).fetchall()


def start(receiver, pattern, reason="", length=None):
    """Whether such a host is known is asked by the command line only."""
    until = length and int(time.time() + length)
    check(receiver.try_ask("maintenance_start", hosts=[pattern], until=until, reason=reason)["ok"], f"{pattern} is entered")


def plan(receiver, pattern, begin, to):
    check(receiver.try_ask("maintenance_plan", hosts=[pattern], reason="", **{"from": begin, "to": to})["ok"], f"{pattern} is planned")


def end(receiver, pattern):
    check(receiver.try_ask("maintenance_end", hosts=[pattern])["ok"], f"{pattern} is ended")


def test_maintenance(_):
    """Started, planned, ended, cancelled at one of three: the others follow, and judge by it."""
    with World() as world:
        one_, two, three = peers(world, "recv1", "recv2", "recv3")
        agent = world.agent("web1", one_, two, three)
        warm([agent], [one_, two, three])
        one_.twobeat("maintenance", "start", "web*", "--reason", "new disk")
        at = int(time.time())
        plan(one_, "db1*", at + 3600, at + 7200)
        start(two, "mail*", length=3600)
        for receiver, origin in ((two, "recv1"), (three, "recv1"), (one_, None)):
            running, planned = one(receiver, "web*"), one(receiver, "db1*")
            equal((running["origin"], running["state"], running["to"], running["reason"]), (origin, "running", None, "new disk"), receiver.name)
            near(running["from"], at + SOON / 2, f"begin at {receiver.name}: then, or when it is told", SOON / 2 + 1)
            equal((planned["origin"], planned["state"], planned["reason"]), (origin, "planned", ""), receiver.name)
            near(planned["from"], at + 3600, "begin of the plan")
            near(planned["to"], at + 7200, "end of the plan")
        near(one(one_, "mail*")["to"], one(two, "mail*")["to"], "its end")
        check("from recv1: new disk" in two.twobeat("maintenance", "list").stdout, "the table shows where it was entered")
        agent.kill()
        for receiver in (one_, two, three):
            receiver.wait_state("web1", "admin", 10)
        one_.twobeat("maintenance", "end", "web*")
        one_.twobeat("maintenance", "cancel", one(one_, "db1*")["id"])
        for receiver in (two, three):
            gone(receiver, "web*")
            gone(receiver, "db1*")
            receiver.wait_state("web1", "down", 10)
        # Ended where it was not entered: for that receiver only, and for good, whatever is told again.
        end(three, "mail*")
        two.kill()
        three.kill()
        two.start()
        three.start()
        met(one_, two, three)
        start(two, "later*")
        one(three, "later*")
        equal([len(listed(r, "mail*")) for r in (one_, two, three)], [1, 1, 0], "where it still runs")
        equal([rows(r, "SELECT count(*) FROM maintenance")[0][0] for r in (one_, two, three)], [4, 4, 4], "nothing is taken twice")


def test_away(_):
    """A peer that is off, or is killed right after it was told, learns it later; also from one that was killed meanwhile, and what was
    entered while that was stopped."""
    with World() as world:
        one_, two = peers(world, "recv1", "recv2")
        agent = world.agent("web1", one_)
        agent.start()
        one_.wait_state("web1", "up")
        start(one_, "known*")
        one(two, "known*")
        two.kill()
        end(one_, "known*")
        start(one_, "killed*", "x")
        one_.kill()
        one_.start()
        start(one_, "over*", length=1)
        one_.stop()
        one_.twobeat("maintenance", "start", "web1", **OWNER)
        one_.start()
        wait_until(lambda: not listed(one_, "over*"), 10, "it is over")
        two.start()
        one(two, "killed*")
        one(two, "web1")
        gone(two, "known*")
        equal([w["pattern"] for w in two.json("maintenance", "list", "--all")["maintenance"]], ["known*", "killed*", "web1"], "what is over is not taken")
        for i in range(3):  # at whatever point
            start(one_, f"fast{i}*")
            if i % 2:
                sleep_until(time.time() + 0.1 * i)
            two.kill()
            two.start()
            one_.kill()
            one_.start()
            equal(one(two, f"fast{i}*", 20)["origin"], "recv1", "where it was entered")
        # The record of the peer is lost, and begins anew with the same ids.
        one_.stop()
        for path in one_.data.glob("receiver.db*"):
            path.unlink()
        one_.start()
        start(one_, "anew*")
        one(two, "anew*", 20)
        # A peer that is gone for good: what it entered can be ended.
        two.write_settings(peer={"recv9": {"address": "127.0.0.1:9"}})
        two.signal(signal.SIGHUP)
        wait_until(lambda: "recv1 is no peer any more" in two.log(), 5, "it is removed")
        two.twobeat("maintenance", "cancel", one(two, "web1")["id"])
        two.twobeat("maintenance", "cancel", one(two, "anew*")["id"])
        one_.kill()
        two.kill()
        two.start()
        equal([listed(two, p) for p in ("web1", "anew*")], [[], []], "what was ended stays so")
        check(listed(two, "killed*"), "the rest goes on")


def test_clocks(_):
    """One clock is hours ahead, and is then set right: windows stay where they are in truth."""
    with World() as world:
        clock = WallClock(world.folder)
        clock.set_ahead(5 * 3600)
        own(clock.path)
        one_, two = peers(world, "recv1", "recv2", clocks={"recv2": clock})
        at = int(time.time())
        plan(one_, "db1*", at + 3600, at + 7200)
        start(one_, "web1*", length=7200)
        planned, running = one(two, "db1*"), one(two, "web1*")
        near(planned["from"] - 5 * 3600, at + 3600, "its begin, told by the wrong clock")
        near(planned["to"] - 5 * 3600, at + 7200, "its end")
        near(running["to"] - 5 * 3600, at + 7200, "the end of the other")

        def ends(receiver):
            return [(w["pattern"], w["ends"]) for w in ({"pattern": p, "ends": (e - now) / 1e9} for p, e, now in rows(
                receiver, "SELECT pattern, ends_ns, (SELECT alive_ns FROM runs ORDER BY id DESC) FROM maintenance"
                          " WHERE ends_ns > starts_ns AND ends_ns > (SELECT alive_ns FROM runs ORDER BY id DESC) ORDER BY pattern"))]

        def right():
            left = at + 7200 - time.time()
            told = ends(two)
            return [p for p, _ in told] == ["db1*", "web1*"] and all(abs(e - left) < 4 for _, e in told)
        check(right(), f"in time that passes: {ends(two)}")
        clock.set_ahead(3600 * 6)  # one more hour: what was planned here would move, what a peer has planned does not
        wait_until(lambda: two.log().count("was moved at recv1") == 2, 10, lambda: f"they are put back: {two.log()[-300:]}")
        wait_until(right, 10, lambda: f"still where they were: {ends(two)}")
        end(one_, "web1*")
        one_.twobeat("maintenance", "cancel", one(one_, "db1*")["id"])
        gone_by = time.time() + SOON
        wait_until(lambda: not rows(two, "SELECT 1 FROM maintenance WHERE ends_ns > (SELECT alive_ns FROM runs ORDER BY id DESC) AND ends_ns > starts_ns"),
                   SOON, lambda: f"they end: {ends(two)} by {gone_by}")


def outage(receiver, name, count, is_open=False):
    def told():
        found = receiver.outages(name)
        return found if len(found) == count and (found[-1]["to"] is None) == is_open else None
    return wait_until(told, 15, lambda: f"{count} outages of {name} at {receiver.name}: {receiver.outages(name)}")[-1]


def counts_as(receiver, name, state, number=-1, seconds=SOON):
    return wait_until(lambda: (o := receiver.outages(name)) and o[number]["state"] == state and o[number], seconds,
                      lambda: f"at {receiver.name}, outage {number} of {name} counts as {state}: {receiver.outages(name)}")


def relabel(receiver, told, state, reason):
    receiver.twobeat("outages", "relabel", told["id"], "--as", state, "--reason", reason, **OWNER)


def same_uptime(one_, two, name, begin):
    end = int(time.time())
    figures = [r.uptime(begin, end, name)["hosts"][0]["uptime_percent"] for r in (one_, two)]
    equal(figures[0], figures[1], f"uptime of {name} by both")
    return figures[0]


def test_relabel(_):
    """Said of an outage that both have seen, and of one that goes on; while the other is off, and while this one is stopped."""
    with World() as world:
        one_, two = peers(world, "recv1", "recv2")
        web, db = world.agent("web1", one_, two), world.agent("db1", one_, two)
        warm([web, db], [one_, two])
        begin = int(time.time()) - 2
        web.kill()
        for receiver in (one_, two):
            receiver.wait_state("web1", "down", 10)
        web.start()
        mine, theirs = outage(one_, "web1", 1), outage(two, "web1", 1)
        relabel(one_, mine, "up", "the switch")
        told = counts_as(two, "web1", "up")
        equal((told["id"], told["from"]), (theirs["id"], theirs["from"]), "its own outage")
        check(told["notes"][0].endswith(": the switch (was down)"), told["notes"])
        equal(same_uptime(one_, two, "web1", begin), 100.0, "all of it was up")
        # The last word counts, wherever it is said.
        sleep_until(int(time.time()) + 1.1)
        relabel(two, told, "down", "it was not")
        counts_as(one_, "web1", "down")
        # One that goes on, and a receiver that is killed as soon as it has answered, or has been told.
        db.kill()
        for receiver in (one_, two):
            receiver.wait_state("db1", "down", 10)
        relabel(one_, outage(one_, "db1", 1, is_open=True), "admin", "moving")
        one_.kill()
        two.wait_state("db1", "admin", 1) if two.state("db1") == "admin" else None
        two.kill()
        one_.start()
        two.start()
        two.wait_state("db1", "admin", 20)
        counts_as(one_, "web1", "down")
        db.start()
        for receiver in (one_, two):
            receiver.wait_state("db1", "up", 15)
            equal(outage(receiver, "db1", len(receiver.outages("db1")))["state"], "admin", "it keeps that")
        equal(same_uptime(one_, two, "db1", begin), 100.0, "nothing of it counts")
        # While the other one is off; entered while this one is stopped.
        two.stop()
        one_.stop()
        relabel(one_, mine, "unknown", "who knows")
        one_.start()
        two.start()
        counts_as(two, "web1", "unknown", 0, 20)
        for receiver in (one_, two):
            equal(receiver.outages("web1")[0]["notes"][0].split(": ")[1], "who knows (was down)", "the last word")
            receiver.twobeat("flush")
            receiver.twobeat("verify")
        # An outage can be several spans, each of which is a row; but none is taken twice.
        words = [(rows(r, "SELECT count(DISTINCT origin_id) FROM relabels")[0][0],
                  rows(r, "SELECT count(*) - count(DISTINCT host || ' ' || number || ' ' || origin_id) FROM relabels WHERE origin IS NOT NULL")[0][0])
                 for r in (one_, two)]
        equal(words, [(1, 0), (3, 0)], "what was taken, and what was taken twice")


if __name__ == "__main__":
    sys.exit(run_tests("news", globals(), at_once=4))
