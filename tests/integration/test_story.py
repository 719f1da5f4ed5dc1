#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_story.py - real agents at 1 s and a real receiver: what happens to them, and what is recorded of it.

Each story ends with a look at the record: `twobeat verify`, and a plain `rrdtool graph` over whole minutes, which must
give the seconds and the digits of `twobeat uptime`.
"""
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from record import check_record, check_span, close_to, recorded  # noqa: E402  pylint: disable=wrong-import-position
from world import AGENT, World, check, equal, run_tests, wait_until  # noqa: E402  pylint: disable=wrong-import-position

T = 1.0  # interval of the agents
M = 0.5  # margin of hosts that beat regularly at that interval
TICK = 0.1  # the receiver looks at its deadlines so often


def check_real(host):
    """The metrics are those of this machine."""
    metrics = host["metrics"]
    total = int(re.search(r"MemTotal:\s+(\d+) kB", pathlib.Path("/proc/meminfo").read_text())[1]) * 1024
    uptime = float(pathlib.Path("/proc/uptime").read_text().split()[0])
    equal(metrics["mem_total"], total, "mem_total")
    check(abs(metrics["uptime"] - uptime) < 5, f"uptime {metrics['uptime']}, the kernel says {uptime}")
    check(0 < metrics["processes"] < 1e6 and metrics["context_switches"] > 0, f"processes and switches: {metrics}")
    check(0.9 < host["interval"] < 1.1 and host["margin"] == M, f"interval {host['interval']}, margin {host['margin']}")


def watch(receiver, name, at, until, allowed, seconds):
    """Looks without pause until the state is `until`, and through what states it went. Returns (not yet, then): the ages since `at`
    of the last look that did not show it and of the first that did."""
    asked, seen = time.time(), []
    while True:
        before = asked
        asked = time.time()
        state = receiver.state(name)
        if not seen or seen[-1] != state:
            seen.append(state)
        if state == until:
            check(all(s in allowed for s in seen[:-1]), f"{name} went through {seen}")
            return before - at, time.time() - at, seen
        check(time.time() < at + seconds, f"{name} is not {until} after {seconds} s: {seen}")
        time.sleep(0.01)


def test_main_story(_):
    with World() as world:
        receiver = world.receiver().start()
        a, b = world.agent("alpha", receiver), world.agent("beta.example", receiver)
        began = a.start()
        b.start()
        for agent in (a, b):
            receiver.wait_state(agent.name, "up")
        wait_until(lambda: all((h := receiver.look(n)) and h["metrics"]["forks"] is not None and h["interval"]
                               for n in (a.name, b.name)),
                   10, "rates after the second beat")
        wait_until(lambda: time.time() > began + 6, 10, "some beats")
        for agent in (a, b):
            check_real(receiver.status(agent.name))
        equal(receiver.outages(), [], "no outage yet")

        # Killed: late, then down after two missed expectations.
        killed = a.kill()
        not_late, _, _ = watch(receiver, a.name, killed, "late", ("up",), 5)
        check(not_late < T + M + 2 * TICK, f"late only {not_late:.2f} s after the kill")
        not_down, down, seen = watch(receiver, a.name, killed, "down", ("up", "late"), 5)
        check(down >= 1.5 and not_down <= 2.6, f"down between {not_down:.2f} and {down:.2f} s after the kill, wanted 1.5 to 2.6")
        check("late" in seen, f"down without having been late: {seen}")
        host = receiver.status(a.name)
        equal((host["state"], host["cause"]), ("down", "silent"), "killed")
        equal(receiver.state(b.name), "up", "the other one")
        receiver.twobeat("status", a.name, code=1)
        receiver.twobeat("check", a.name, code=2)
        check_span(recorded(receiver, a.name, 1, is_open=True)[-1], "down", "silent", killed - T / 2, None)

        # Started again: the host was up, its agent was not.
        started = a.start()
        receiver.wait_state(a.name, "up")
        outage = recorded(receiver, a.name, 1)[-1]
        check_span(outage, "down", "agent_died", killed - T / 2, started)
        low, high = outage["bounds"]["from"]
        check(killed - T - 1 <= low <= killed + 0.1 and low <= outage["from"] <= high and high <= low + 2,
              f"bounds of the begin: {outage}, killed at {killed}")
        equal(outage["seconds"], outage["to"] - outage["from"], "its length")

        # Maintenance: silence is planned, until maintenance ends.
        wait_until(lambda: (h := receiver.look(a.name))["margin"] == M and h["state"] == "up"
                   and time.time() > started + 5, 15, "a warm rhythm")
        receiver.twobeat("maintenance", "start", a.name, "--reason", "new disk")
        equal(receiver.state(a.name), "up", "maintenance alone changes nothing")
        killed = a.kill()
        watch(receiver, a.name, killed, "admin", ("up", "late"), 5)
        equal(receiver.status(a.name)["cause"], "maintenance", "cause of planned silence")
        receiver.twobeat("check", a.name)
        wait_until(lambda: time.time() > killed + 5, 10, "some planned time")
        equal(receiver.state(a.name), "admin", "still planned")
        ended = time.time()
        receiver.twobeat("maintenance", "end", a.name)
        receiver.wait_state(a.name, "down", 5)
        outages = recorded(receiver, a.name, 3, is_open=True)
        check_span(outages[1], "admin", "maintenance", killed - T / 2, ended)
        equal((outages[2]["state"], outages[2]["to"]), ("down", None), f"after maintenance: {outages[2]}")
        equal(outages[2]["from"], outages[1]["to"], "down follows at once")
        started = a.start()
        receiver.wait_state(a.name, "up")
        outages = recorded(receiver, a.name, 3)
        check_span(outages[1], "admin", "maintenance", killed - T / 2, ended)
        check_span(outages[2], "down", outages[2]["cause"], ended, started)

        # A goodbye: up while nothing was missed, then unknown.
        wait_until(lambda: (h := receiver.look(a.name))["margin"] == M and time.time() > started + 5, 15,
                   "a warm rhythm")
        stopped = a.stop()
        not_yet, then, _ = watch(receiver, a.name, stopped, "unknown", ("up",), 5)
        check(then >= 0.5 and not_yet <= T + M + 2 * TICK, f"unknown between {not_yet:.2f} and {then:.2f} s after the goodbye")
        equal(receiver.status(a.name)["cause"], "agent_stopped", "after a goodbye")
        wait_until(lambda: time.time() > stopped + 5, 10, "some time")
        equal(receiver.state(a.name), "unknown", "a stopped agent is not down")
        started = a.start()
        receiver.wait_state(a.name, "up")
        check_span(recorded(receiver, a.name, 4)[-1], "unknown", "agent_stopped", stopped, started)

        # An agent that is restarted at once leaves no trace.
        wait_until(lambda: time.time() > started + 5, 10, "a warm rhythm")
        a.stop()
        started = a.start()
        wait_until(lambda: time.time() > started + 4, 10, "some beats")
        equal(receiver.state(a.name), "up", "restarted")
        equal(len(receiver.outages(a.name)), 4, "outages after a quick restart")
        equal(receiver.outages(b.name), [], "of the other host")
        check_record(receiver, (a.name, b.name), began)
        for daemon in (a, b, receiver):
            daemon.stop()


def unknown_seconds(receiver, name, start, end):
    return receiver.uptime(start, end, name)["hosts"][0]["seconds"]["unknown"]


def test_receiver_off(_):
    with World() as world:
        receiver = world.receiver().start()
        agents = [world.agent(name, receiver).start() and name for name in ("alpha", "beta")]
        began = time.time()
        for name in agents:
            receiver.wait_state(name, "up")
        wait_until(lambda: time.time() > began + 5, 10, "a warm rhythm")
        off = receiver.stop()
        answer = receiver.json("status")
        close_to(answer["receiver"]["stopped"], off, 1.2, "stopped, by status")
        wait_until(lambda: time.time() > off + 20, 30, "20 s without a receiver")
        receiver.start()
        on = time.time()
        for name in agents:
            receiver.wait_state(name, "up")
            check_span(recorded(receiver, name, 1)[-1], "unknown", "receiver_off", off, on)
        wait_until(lambda: time.time() > on + 4, 10, "some beats")
        for name in agents:
            first = receiver.first_heard(name)
            close_to(unknown_seconds(receiver, name, first, time.time() - 2), 20, 1.5, f"unknown seconds of {name}")
        check_record(receiver, agents, began)
        receiver.stop()


def test_receiver_killed(_):
    with World() as world:
        receiver = world.receiver().start()
        agents = [world.agent(name, receiver).start() and name for name in ("alpha", "beta")]
        began = time.time()
        for name in agents:
            receiver.wait_state(name, "up")
        wait_until(lambda: time.time() > began + 5, 10, "a warm rhythm")
        gaps = []
        for _ in range(5):
            killed = receiver.kill()
            receiver.start()
            gaps.append(round(time.time() - killed, 2))
            for name in agents:
                wait_until(lambda n=name, k=time.time(): (receiver.look(n) or {}).get("last_heard", 0) > k - 0.5, 10,
                           f"{name} is heard again")
            at = time.time()
            wait_until(lambda t=at: time.time() > t + 2.2, 10, "some beats")
            for name in agents:
                equal(receiver.outages(name), [], f"outages of {name} after kills, away for {gaps} s")
        for name in agents:
            equal(receiver.state(name), "up", name)
            figures = receiver.uptime(receiver.first_heard(name), time.time() - 2, name)["hosts"][0]
            equal((figures["seconds"]["unknown"], figures["seconds"]["down"]), (0, 0),
                  f"{name}, receiver away for {gaps} s")
        check_record(receiver, agents, began)
        receiver.stop()


def test_died_while_receiver_was_off(_):
    with World() as world:
        receiver = world.receiver().start()
        victim, other = world.agent("victim", receiver), world.agent("other", receiver)
        began = victim.start()
        other.start()
        for agent in (victim, other):
            receiver.wait_state(agent.name, "up")
        wait_until(lambda: time.time() > began + 6, 10, "a warm rhythm")
        off = receiver.stop()
        wait_until(lambda: time.time() > off + 3, 10, "time off")
        victim.kill()
        wait_until(lambda: time.time() > off + 8, 10, "time off")
        receiver.start()
        on = time.time()
        receiver.wait_state(victim.name, "down", 6)
        check(time.time() < on + 2 * T + M + 1, "down by the moved deadline")
        equal(receiver.state(other.name), "up", "the other one")
        outages = recorded(receiver, victim.name, 2, is_open=True)
        check_span(outages[0], "unknown", "receiver_off", off, on)
        check_span(outages[1], "down", "silent", on, None)
        equal(outages[1]["from"], outages[0]["to"], "down begins where unknown ends")
        wait_until(lambda: time.time() > on + 6, 10, "some time down")
        started = victim.start()
        receiver.wait_state(victim.name, "up")
        outages = recorded(receiver, victim.name, 2)
        check_span(outages[0], "unknown", "receiver_off", off, on)
        check_span(outages[1], "down", "agent_died", on, started)
        check_record(receiver, (victim.name, other.name), began)
        receiver.stop()


if __name__ == "__main__":
    check(AGENT.exists(), f"{AGENT} is not built")
    sys.exit(run_tests("story", globals()))
