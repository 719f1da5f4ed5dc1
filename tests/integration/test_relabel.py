#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_relabel.py - what people say about outages, with a real receiver and real agents: while it runs, while it is stopped, and
over a kill right after it answered. And the months, which follow from the same log.

A month cannot pass in a test: for those, the log of a stopped record is given a past, line by line, and the receiver is started
on it.
"""
import contextlib
import datetime
import os
import sqlite3
import sys
import time
import zoneinfo

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from record import check_record, rrd_figures  # noqa: E402  pylint: disable=wrong-import-position
from world import RECEIVER, Skip, World, check, equal, run_tests, sleep_until, wait_until  # noqa: E402  pylint: disable=wrong-import-position

OWNER = {"env": {"ASAN_OPTIONS": "detect_leaks=0"}}  # the leak check cannot look into a process that changed its user


def warm(receiver, *agents):
    for agent in agents:
        agent.start()
    for agent in agents:
        receiver.wait_state(agent.name, "up")
        wait_until(lambda name=agent.name: receiver.look(name)["interval"] < 1.1, 20, f"the interval of {agent.name} is learned")


def told(receiver, name, count, is_open=None):
    """The outages of a host, once there are so many."""
    def look():
        found = receiver.outages(name)
        return found if len(found) == count and is_open in (None, found[-1]["to"] is None) else None
    return wait_until(look, 10, lambda: f"{count} outages of {name}: {receiver.outages(name)}")


def outage_of(receiver, agent, seconds=3):
    """The agent is away for a while: that is one outage, which is returned."""
    count = sum(o["host"] == agent.name for o in receiver.outages())
    agent.kill()
    receiver.wait_state(agent.name, "down", 10)
    sleep_until(time.time() + seconds)
    agent.start()
    receiver.wait_state(agent.name, "up", 10)
    return told(receiver, agent.name, count + 1, is_open=False)[-1]


def give_past(receiver, name, past):
    """Puts lines (at, state, cause) before the log of a host, as if it had been heard before."""
    with contextlib.closing(sqlite3.connect(receiver.data / "receiver.db")) as db:
        host = db.execute("SELECT id FROM hosts WHERE name = ?", (name,)).fetchone()[0]
        db.execute("UPDATE transitions SET number = -number - ? WHERE host = ?", (len(past), host))
        db.execute("UPDATE transitions SET number = -number WHERE host = ?", (host,))
        for number, (at, state, cause) in enumerate(past, 1):
            db.execute("INSERT INTO transitions (host, number, at, state, cause, earliest, latest, decided) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                       (host, number, at, state, cause, at, at, at))
        db.execute("UPDATE hosts SET first_at = ? WHERE id = ?", (past[0][0], host))
        db.commit()


def with_past(receiver, agent):
    """A host that has been heard for an hour, with one outage in it, which is returned; its file is written."""
    warm(receiver, agent)
    receiver.stop()
    began = receiver.first_heard(agent.name) - 3600
    give_past(receiver, agent.name, [(began, "up", ""), (began + 1234, "down", "unreachable"), (began + 1534, "up", "")])
    receiver.start()
    wait_until(lambda: receiver.twobeat("rebuild", agent.name) and (receiver.written_to(agent.name) or 0) > began + 3600, 20, "it is written")
    receiver.twobeat("verify")
    return receiver.outages(agent.name)[0]


def relabel(receiver, outage, state, reason="told so", **how):
    return receiver.json("outages", "relabel", outage["id"], "--as", state, "--reason", reason, **how)


def seconds_of(receiver, name, outage):
    """Of the time of an outage, by `uptime`."""
    return receiver.uptime(outage["from"], outage["to"], name)["hosts"][0]["seconds"]


def rows(receiver, sql):
    with contextlib.closing(sqlite3.connect(receiver.data / "receiver.db")) as db:
        return db.execute(sql).fetchall()


def check_says(receiver, name, outage, state, was, reason):
    """Wherever one looks."""
    now = next(o for o in receiver.outages(name) if o["from"] == outage["from"])
    equal((now["id"], now["state"], now["cause"], now["to"]), (outage["id"], state, outage["cause"], outage["to"]), "the outage")
    equal(len(now["notes"]), 1, "a note")
    check(now["notes"][0].startswith(f"relabelled {state} on 20") and now["notes"][0].endswith(f": {reason} (was {was})"), now["notes"])
    if outage["to"]:
        length = outage["to"] - outage["from"]
        seconds = seconds_of(receiver, name, outage)
        equal({s: seconds[s] for s in ("up", "down", "admin", "unknown")},
              {s: length if s == state else 0 for s in ("up", "down", "admin", "unknown")}, "its seconds")


def test_running(_):
    """Said of an outage that is over; corrected, also to up; the file follows, to the digit."""
    with World() as world:
        receiver = world.receiver().start()
        agent = world.agent("web1", receiver)
        began = time.time()
        warm(receiver, agent)
        outage = outage_of(receiver, agent)
        equal((outage["state"], outage["notes"]), ("down", []), "as it was judged")
        receiver.twobeat("flush")
        for state, was in (("admin", "down"), ("unknown", "admin"), ("up", "unknown"), ("down", "up"), ("admin", "down")):
            answer = relabel(receiver, outage, state, f"now \"{state}\", really")
            equal(answer, {"id": outage["id"], "host": "web1", "from": outage["from"], "to": outage["to"], "was": was, "state": state,
                           "reason": f"now \"{state}\", really"}, "the answer")
            check_says(receiver, "web1", outage, state, "down", f"now \"{state}\", really")
            equal(receiver.state("web1"), "up", "an outage that is over has nothing to do with now")
        text = receiver.twobeat("outages", "--csv").stdout.splitlines()[-1]
        check(text.count('""admin"", really (was down)"') == 1, text)
        check(f"web1: its outage of line {rows(receiver, 'SELECT number FROM relabels')[0][0]} counts as admin" in receiver.log(), "the receiver's log")
        check("relabelled admin on " in receiver.twobeat("outages").stdout, "the notes of the table")
        line = receiver.twobeat("outages", "relabel", outage["id"], "--as", "admin", "--reason", "once more").stdout
        check(line.startswith("web1 from 20") and line.endswith(": admin -> admin\n"), line)
        equal(rows(receiver, "SELECT count(*), count(DISTINCT number) FROM relabels")[0], (6, 1), "every word is kept")
        check_record(receiver, ("web1",), began)
        receiver.kill()
        receiver.start()
        check_says(receiver, "web1", outage, "admin", "down", "once more")
        receiver.twobeat("rebuild", "web1")
        receiver.twobeat("verify")
        receiver.stop()


def test_refused(_):
    with World() as world:
        receiver = world.receiver().start()
        agent = world.agent("web1", receiver)
        warm(receiver, agent)
        outage = outage_of(receiver, agent, 1)
        up = rows(receiver, "SELECT id FROM transitions WHERE state = 'up' ORDER BY id")
        word = ("--as", "admin", "--reason", "x")

        def refuse(*words):
            line = receiver.twobeat("outages", "relabel", *words, code=2, **OWNER).stderr
            check(line.startswith("twobeat: ") and line.count("\n") == 1, f"one line: {line}")
            return line
        for stop in (False, True):
            if stop:
                receiver.stop()
            check("no outage has the id 9999" in refuse(9999, *word), "an id that is not there")
            for number, in up:
                check("the host was up" in refuse(number, *word), "a line that tells of up")
            for bad in (("x", *word), (0, *word), (-1, *word), ("", *word), (10**30, *word), (outage["id"],), word, (1, 2, *word),
                        (outage["id"], "--as", "late", "--reason", "x"), (outage["id"], "--as", "", "--reason", "x"),
                        (outage["id"], "--reason", "x"), (outage["id"], "--as", "up"), (outage["id"], "--as", "up", "--reason", ""),
                        (outage["id"], "--as", "up", "--reason", "  "), (outage["id"], "--as", "up", "--reason", "a\nb"),
                        (outage["id"], "--as", "up", "--reason", b"\xff\xfe".decode("utf-8", "surrogateescape")),
                        (outage["id"], "--as", "up", "--reason", "x" * 501)):
                refuse(*bad)
        receiver.start()
        good = {"number": 2, "as": "admin", "reason": "x", "to_end": True, "open": False, "from": outage["from"], "to": outage["to"]}
        for bad in ({"number": 0}, {"number": 99}, {"number": "2"}, {"as": "late"}, {"as": None}, {"reason": ""}, {"reason": "a\nb"},
                    {"reason": 5}, {"to_end": 1}, {"open": None}, {"from": None}, {"to": "x"}):
            check(receiver.try_ask("relabel", hosts=["web1"], **dict(good, **bad))["ok"] is False, f"{bad} is refused")
        for bad in ([], ["nohost"], ["web*"], ["web1", "web1"]):
            check(receiver.try_ask("relabel", hosts=bad, **good)["ok"] is False, f"hosts {bad} are refused")
        equal(rows(receiver, "SELECT * FROM relabels"), [], "what was refused")
        equal(receiver.outages("web1")[0]["notes"], [], "nothing was said")
        receiver.stop()


def test_killed_right_after_the_answer(_):
    """The file was written before, and the receiver dies before it writes it anew."""
    with World() as world:
        receiver = world.receiver().start()
        agent = world.agent("web1", receiver)
        outage = with_past(receiver, agent)
        equal(receiver.try_ask("relabel", hosts=["web1"], number=rows(receiver, f"SELECT number FROM transitions WHERE id = {outage['id']}")[0][0],
                               reason="x", to_end=True, open=False, to=outage["to"], **{"as": "admin", "from": outage["from"]}), {"ok": True}, "the answer")
        receiver.kill()
        check_says(receiver, "web1", outage, "admin", "down", "x")
        equal(receiver.json("verify")["queued"], 1, "the file is still to be made anew")
        receiver.start()
        receiver.twobeat("flush")
        equal(receiver.json("verify")["queued"], 0, "it is")
        check_says(receiver, "web1", outage, "admin", "down", "x")
        # And without a kill.
        relabel(receiver, outage, "up")
        receiver.twobeat("flush")
        receiver.twobeat("verify")
        minute = (outage["from"] // 60 + 1) * 60
        equal(rrd_figures(receiver, "web1", minute, minute + 120)[1], "100.000000", "the figure of two minutes in it, by rrdtool")
        receiver.stop()


def test_open(_):
    """Said while it goes on: it shows at once, survives kill and stop, covers what settlement makes of it, and ends with it."""
    with World() as world:
        receiver = world.receiver().start()
        agent, other = world.agent("web1", receiver), world.agent("web2", receiver)
        began = time.time()
        warm(receiver, agent, other)
        agent.kill()
        receiver.wait_state("web1", "down", 10)
        outage = told(receiver, "web1", 1)[0]
        for state, code in (("unknown", 3), ("down", 2), ("admin", 0)):
            equal(relabel(receiver, outage, state)["to"], None, "it goes on")
            host = receiver.status("web1")
            equal((host["state"], host["cause"]), (state, "silent"), "status")
            receiver.twobeat("check", "web1", code=code)
            receiver.twobeat("status", "web1", code=1 if state == "down" else 0)
        receiver.kill()
        equal(receiver.status("web1")["state"], "admin", "status of a killed receiver")
        sleep_until(time.time() + 2)
        receiver.start()
        sleep_until(time.time() + 3)  # what lapses in the time off is told
        equal(receiver.state("web1"), "admin", "after a kill")
        outages = told(receiver, "web1", 3)
        equal([(o["state"], o["cause"]) for o in outages], [("admin", "silent"), ("admin", "receiver_off"), ("admin", "silent")],
              "with the receiver's own absence in it")
        receiver.stop()
        sleep_until(time.time() + 1)
        receiver.start()
        equal(receiver.state("web1"), "admin", "after a stop")
        back = agent.start()
        receiver.wait_state("web1", "up")
        sleep_until(back + 5)  # settled
        outages = wait_until(lambda: (o := receiver.outages("web1"))[-1]["to"] and o, 10, "its end")
        equal({o["state"] for o in outages}, {"admin"}, f"to its end: {outages}")
        check(outages[0]["cause"] == "agent_died" and outages[-1]["to"] - back < 3, f"{outages}")
        check(all(o["notes"][0].endswith("(was down)" if o["cause"] != "receiver_off" else "(was unknown)") for o in outages), f"{outages}")
        equal(outages[0]["id"], outage["id"], "the same outage")
        # The next one is a new one.
        again = outage_of(receiver, agent, 1)
        equal((again["state"], again["notes"]), ("down", []), "the next outage")
        equal(receiver.state("web2"), "up", "the other host")
        # A correction of what was said to the end reaches as far.
        relabel(receiver, outages[0], "unknown", "who knows")
        equal({o["state"] for o in receiver.outages("web1")[:-1]}, {"unknown"}, "corrected")
        # But of one part something else can be said.
        relabel(receiver, outages[1], "up", "was there")
        equal([o["state"] for o in receiver.outages("web1")[:3]], ["unknown", "up", "unknown"], "one part")
        check_record(receiver, ("web1", "web2"), began)
        receiver.stop()


def test_stopped(_):
    """Entered into the record itself, its file included; the receiver finds it."""
    with World() as world:
        receiver = world.receiver().start()
        agent = world.agent("web1", receiver)
        outage = with_past(receiver, agent)
        agent.kill()
        receiver.wait_state("web1", "down", 10)
        going_on = wait_until(lambda: (o := receiver.outages("web1")[-1])["to"] is None and o, 10, "it is recorded")
        receiver.stop()
        receiver.twobeat("verify")
        relabel(receiver, outage, "unknown", **OWNER)
        relabel(receiver, outage, "admin", "corrected", **OWNER)
        check_says(receiver, "web1", outage, "admin", "down", "corrected")
        receiver.twobeat("verify")
        relabel(receiver, going_on, "up", "a visitor pulled the plug", **OWNER)
        equal(receiver.status("web1")["state"], "up", "status of a stopped receiver")
        check((receiver.data / "hosts" / "web1" / "state.rrd.bak").exists(), "the file is made anew")
        equal({path.owner() for path in receiver.data.rglob("*")}, {receiver.data.owner()}, "whose files they are")
        receiver.start()
        equal(receiver.state("web1"), "up", "it is shown")
        equal(receiver.status("web1")["cause"], "silent", "with its cause")
        check_says(receiver, "web1", outage, "admin", "down", "corrected")
        receiver.twobeat("flush")
        receiver.twobeat("verify")
        agent.start()
        wait_until(lambda: receiver.status("web1")["cause"] is None, 10, "it is back")
        receiver.stop()


# ---- months ----

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


def month_begin(year, month, zone):
    return int(datetime.datetime(year + (month - 1) // 12, (month - 1) % 12 + 1, 1, tzinfo=zoneinfo.ZoneInfo(zone)).timestamp())


def count(past, end, first, last):
    """The seconds of [first, last) in plain arithmetic."""
    result = {"up": 0, "down": 0, "unreachable": 0, "admin": 0, "unknown": max(0, min(last, past[0][0]) - first)}
    for (at, state, cause), until in zip(past, [line[0] for line in past[1:]] + [end]):
        length = max(0, min(last, until) - max(first, at))
        result[state] += length
        result["unreachable"] += length if (state, cause) == ("down", "unreachable") else 0
    return result


def month_rows(receiver, name):
    names = ("zone", "up", "down", "unreachable", "admin", "unknown")
    found = rows(receiver, f"SELECT month, {', '.join(names)} FROM months JOIN hosts ON hosts.id = host WHERE name = '{name}' ORDER BY month")
    return {row[0]: dict(zip(names, row[1:])) for row in found}


def by_uptime(receiver, name, month, zone):
    answer = receiver.json("uptime", name, "--month", month, env={"TZ": zone})
    return answer["hosts"][0]["seconds"]


def check_months(receiver, name, zone, past, end, wanted):
    """What is stored is what `uptime` says and what was told."""
    stored = month_rows(receiver, name)
    equal(sorted(stored), sorted(wanted), f"months of {name}")
    for month, row in stored.items():
        year, number = map(int, month.split("-"))
        seconds = count(past, end, month_begin(year, number, zone), month_begin(year, number + 1, zone))
        equal(row, dict(seconds, zone=zone), f"{name} in {month}")
        equal(by_uptime(receiver, name, month, zone), seconds, f"{name} in {month}, by uptime")


def months_between(first, now, zone):
    """The months of [first, now) that have ended, as texts."""
    begin = datetime.datetime.fromtimestamp(first, zoneinfo.ZoneInfo(zone))
    end = datetime.datetime.fromtimestamp(now, zoneinfo.ZoneInfo(zone))
    span = range(begin.year * 12 + begin.month - 1, end.year * 12 + end.month - 1)
    return [f"{number // 12}-{number % 12 + 1:02d}" for number in span]


def flushed(receiver, condition, what):
    wait_until(lambda: receiver.twobeat("flush") and condition(), 20, what)


def a_past(rng, first, end):
    """A year and more: every month has an outage across its end, the two nights on which clocks change included."""
    lines, at = [(first, "up", "")], first
    kinds = (("down", "silent"), ("down", "unreachable"), ("admin", "maintenance"), ("unknown", "receiver_off"))
    while True:
        at += rng.randrange(3600, 20 * 86400)
        back = at + rng.choice((1, 59, 3600, rng.randrange(1, 8 * 86400)))
        if back >= end:
            return lines
        lines += [(at, *rng.choice(kinds)), (back, "up", "")]
        at = back


def test_months(rng):
    with World() as world:
        receiver = world.receiver(time_zone=BERLIN).start()
        agents = world.agent("web1", receiver), world.agent("web2", receiver)
        warm(receiver, *agents)
        receiver.stop()
        equal(rows(receiver, "SELECT * FROM months"), [], "no month has ended")
        joined = {a.name: receiver.first_heard(a.name) for a in agents}
        this_year = time.gmtime().tm_year
        if len(months_between(min(joined.values()) - 60, time.time() + 300, BERLIN)) > 0:
            raise Skip("a month ends right now, which would be one more than the test knows of")
        first = {"web1": month_begin(this_year - 2, 9, BERLIN) + 12345, "web2": int(time.time()) - 100 * 86400}
        past = {name: a_past(rng, first[name], joined[name] - 10) + [(joined[name] - 5, "up", "")] for name in first}
        past["web1"].pop(-2)  # the last outage reaches to now
        for name, lines in past.items():
            give_past(receiver, name, [line for i, line in enumerate(lines) if i == 0 or lines[i - 1][1:] != line[1:]])
        receiver.start()
        now = int(time.time())
        wanted = {name: months_between(first[name], now, BERLIN) for name in first}
        flushed(receiver, lambda: len(rows(receiver, "SELECT * FROM months")) == sum(map(len, wanted.values())), "the months are stored")
        for name in first:
            check_months(receiver, name, BERLIN, past[name], now, wanted[name])
        # The months in which clocks change have an hour less, and one more.
        lengths = {month: sum(row[s] for s in ("up", "down", "admin", "unknown")) for month, row in month_rows(receiver, "web1").items()}
        equal((lengths[f"{this_year - 1}-03"], lengths[f"{this_year - 1}-10"]), (743 * 3600, 745 * 3600), "March and October")
        # Something is said of an old outage: its months follow, over a kill of the receiver.
        old = next(o for o in receiver.json("outages", "web1", "--from", first["web1"])["outages"] if o["state"] == "down")
        relabel(receiver, old, "admin", "it was planned")
        receiver.kill()
        receiver.start()
        past["web1"] = [(at, "admin" if at == old["from"] else state, cause) for at, state, cause in past["web1"]]
        month = months_between(old["from"], now, BERLIN)[0]
        seconds = by_uptime(receiver, "web1", month, BERLIN)
        flushed(receiver, lambda: month_rows(receiver, "web1")[month] == dict(seconds, zone=BERLIN), "the months follow")
        check_months(receiver, "web1", BERLIN, past["web1"], now, wanted["web1"])
        # While it is stopped: they follow when it runs.
        receiver.stop()
        relabel(receiver, old, "unknown", "or was it?", **OWNER)
        past["web1"] = [(at, "unknown" if at == old["from"] else state, cause) for at, state, cause in past["web1"]]
        seconds = by_uptime(receiver, "web1", month, BERLIN)
        # And in another zone.
        receiver.write_settings(time_zone=NEW_YORK)
        receiver.start()
        wanted = {name: months_between(first[name], now, NEW_YORK) for name in first}
        flushed(receiver, lambda: {row["zone"] for name in first for row in month_rows(receiver, name).values()} == {NEW_YORK}, "the other zone")
        for name in first:
            check_months(receiver, name, NEW_YORK, past[name], now, wanted[name])
        # The file that is made of such a past agrees with the log, and rrdtool says the same of a day.
        receiver.twobeat("rebuild", "*")
        receiver.twobeat("verify")
        day = (now // 86400 - 10) * 86400
        figures, percent = rrd_figures(receiver, "web1", day, day + 86400)
        told_seconds = receiver.uptime(day, day + 86400, "web1")["hosts"][0]
        equal({s: round(v) for s, v in figures.items()}, {s: told_seconds["seconds"][s] for s in figures}, "a day by rrdtool")
        equal(percent, None if told_seconds["uptime_percent"] is None else f"{told_seconds['uptime_percent']:.6f}", "its figure")
        receiver.stop()


if __name__ == "__main__":
    check(RECEIVER.exists(), f"{RECEIVER} is not built")
    sys.exit(run_tests("relabel", globals()))
