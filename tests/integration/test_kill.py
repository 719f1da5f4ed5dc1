#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_kill.py - a receiver that is killed again and again under load, and one that is away for a while: every beat that an agent was
told is safe is in the record, nobody is called down for it, and the traffic of all that time is recorded to the byte.

The agents are the real core, thousands in a process (tests/bench/fleet.c). soak_kill.py does the same for longer, with more of them.
"""
import contextlib
import pathlib
import sqlite3
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from fleet import PERIOD_S, RECORDED, Account, Fleet, check_traffic, copy_record, net_rows  # noqa: E402  pylint: disable=wrong-import-position
from test_metrics import Veth  # noqa: E402  pylint: disable=wrong-import-position
from wallclock import WallClock  # noqa: E402  pylint: disable=wrong-import-position
from world import RECEIVER, World, check, equal, need_root, run_tests, wait_until  # noqa: E402  pylint: disable=wrong-import-position

T = 1.0
M_MAX = 0.5 * T
CUT = 20  # hosts that are cut off once
CUT_S = 12
SLACK_S = 1.5  # whole seconds, and a busy machine
QUIET_S = 8


def clock_before_boundary(world, seconds):
    """A wall clock on which a 5-minute period ends in so many seconds. Returns it and that end."""
    clock = WallClock(world.folder)
    boundary = (int(time.time()) // PERIOD_S + 1) * PERIOD_S
    clock.set_to(boundary - seconds)
    return clock, boundary


def transitions(receiver, where):
    with contextlib.closing(sqlite3.connect(f"file:{receiver.data}/receiver.db?mode=ro", uri=True)) as db:
        return db.execute("SELECT name, at, state, cause FROM transitions JOIN hosts ON hosts.id = host "
                          f"WHERE {where} ORDER BY transitions.id").fetchall()


def absences(receiver):
    with contextlib.closing(sqlite3.connect(f"file:{receiver.data}/receiver.db?mode=ro", uri=True)) as db:
        return db.execute("SELECT started, ended FROM absences").fetchall()


def is_listening(receiver):
    return any("listening on" in line for line in receiver.lines())


class Killer:
    """Kills at random instants, also while the receiver starts, and looks each time what is in the record."""

    def __init__(self, rng, world, receiver, fleet, gap_s):
        self.rng, self.world, self.receiver, self.fleet, self.gap_s = rng, world, receiver, fleet, gap_s
        self.account = Account()
        self.kills = self.kills_at_start = 0
        self.journal_bytes = []  # at each look
        self.checks = []
        self.errors = []

    def kill(self, checked=True):
        """And start at once. What was told and what is recorded is compared while it runs already. Returns what was told."""
        told = None
        self.receiver.check_running()
        self.kills += 1
        self.kills_at_start += not is_listening(self.receiver)
        self.receiver.kill()
        if checked:
            told = self.fleet.tell()
            copy = copy_record(self.receiver, self.world.folder / f"copy{self.kills}")
            self.checks.append(threading.Thread(target=self._check, args=(told, copy)))
        self.receiver.spawn()
        if checked:
            if len(self.checks) > 1:
                self.checks[-2].join()
            self.checks[-1].start()
        return told

    def _check(self, told, copy):
        try:
            self.account.check(told, copy)
            with contextlib.closing(sqlite3.connect(copy / "receiver.db")) as db:
                self.journal_bytes.append(db.execute("SELECT ifnull(sum(length(facts)), 0) FROM journal").fetchone()[0])
        except Exception as why:  # pylint: disable=broad-except
            self.errors.append(why)
        for path in copy.iterdir():
            path.unlink()
        copy.rmdir()

    def finish(self):
        for thread in self.checks:
            thread.join()
        if self.errors:
            raise self.errors[0]

    def pause(self):
        """A random time; one kill in five comes while the receiver still loads its record, or has hardly begun."""
        wait_s = self.rng.uniform(0, 0.5) if self.rng.random() < 0.2 else self.rng.uniform(0.5, self.gap_s)
        end = time.monotonic() + wait_s
        wait_until(lambda: time.monotonic() >= end, wait_s + 60, "time passes")

    def flush(self):
        """Asks for files to be written, and does not wait."""
        threading.Thread(target=self.receiver.try_ask, args=("flush",), daemon=True).start()


def check_cut(receiver, clock_edges, names):
    """Hosts that were cut off were down for just that time, but for what the receiver itself was off."""
    cut_at, joined_at = clock_edges
    for name in names:
        spans = receiver.outages(name, start=cut_at - 30, end=joined_at + 30)
        check(any(span["state"] == "down" for span in spans), f"{name} was cut off for {CUT_S} s: {spans}")
        for span in spans:
            end = span["to"] or joined_at + 60
            if span["state"] == "down":
                check(cut_at - T - SLACK_S <= span["from"] and end <= joined_at + T + SLACK_S,
                      f"{name} was cut off from {cut_at:.1f} to {joined_at:.1f}: {span}")
            else:
                equal(span["state"], "unknown", f"{name}: {spans}")
        known = sum(max(0, min(span["to"] or joined_at, joined_at) - max(span["from"], cut_at)) for span in spans)
        check(known >= CUT_S - T - SLACK_S, f"{name} was cut off from {cut_at:.1f} to {joined_at:.1f}, outages: {spans}")


def kills(rng, hosts, count, gap_s, boundary_in_s, with_steady=True):
    """`count` kills of a receiver that `hosts` hosts beat to each second; the last of them also speak to one that is never killed."""
    with World() as world:
        clock, boundary = clock_before_boundary(world, boundary_in_s)
        receivers = [world.receiver(name) for name in (("killed", "steady") if with_steady else ("killed",))]
        killed = receivers[0]
        for receiver in receivers:
            receiver.environment = clock.environment
            receiver.start()
        with Fleet(hosts, T, *receivers, ahead_s=clock.ahead) as fleet:
            wait_until(lambda: killed.count()["beats"] >= 3 * hosts, 60, "three beats of each host")
            killer = Killer(rng, world, killed, fleet, gap_s)
            edges = []
            for i in range(count):
                killer.pause()
                if i == count // 3:
                    edges.append(clock.now())
                    fleet.say("cut", 0, CUT)
                if len(edges) == 1 and clock.now() > edges[0] + CUT_S:
                    edges.append(clock.now())
                    fleet.say("join", 0, CUT)
                if rng.random() < 0.3:
                    killer.flush()
                killer.kill(checked=i % max(1, count // 20) == 0 or i == count - 1)
            if len(edges) == 1:
                wait_until(lambda: clock.now() > edges[0] + CUT_S, CUT_S + 10, "the hosts were cut off long enough")
                edges.append(clock.now())
                fleet.say("join", 0, CUT)
            wait_until(lambda: is_listening(killed) and killed.try_ask("status"), 60, "the last start")
            fleet.settled(90)
            last = (int(clock.now()) - 3) // PERIOD_S * PERIOD_S if clock.now() > boundary + 3 else boundary
            wait_until(lambda: clock.now() > last + 3 * T + 2, boundary_in_s + 60, "the end of the period")
            for receiver in receivers:
                receiver.twobeat("flush", timeout=600)
            if with_steady:
                compare_rhythms(*receivers)
            finish_kills(killer, receivers, edges, last)
        for receiver in receivers:
            receiver.stop()


def finish_kills(killer, receivers, edges, last):
    """What there is to see at the end: `edges` of the hosts that were cut off, and the end of the last whole 5 minutes."""
    killed, fleet = receivers[0], killer.fleet
    told = killer.kill()
    killer.finish()
    wait_until(lambda: is_listening(killed) and killed.try_ask("status"), 60, "the start after the last kill")
    line = killer.account.line(told)
    print(f"{killer.kills} kills, {killer.kills_at_start} of them before it listened: "
          + ", ".join(f"{what} {n}" for what, n in line.items()), flush=True)
    print(f"MB in the journal: {' '.join(f'{n / 1e6:.1f}' for n in killer.journal_bytes)}", flush=True)
    check(line["lost"] == 0 and line["found"] > 0.8 * line["sent"], f"lost: {line}, {list(killer.account.lost)[:5]}")
    cut_names = fleet.names[:CUT]
    wrong = [row for row in transitions(killed, "state NOT IN ('up', 'unknown')") if row[0] not in cut_names]
    equal(wrong, [], "lines of hosts that beat all the time")
    wrong = {cause for _, _, state, cause in transitions(killed, "state = 'unknown'") if cause != "receiver_off"}
    said = [line for line in killed.log().splitlines() if "could not observe" in line or "overloaded" in line]
    equal(wrong - ({"receiver_overloaded"} if said else set()), set(), f"why hosts were unknown; the log says {said}")
    check_cut(killed, edges, cut_names)
    for number, receiver in enumerate(receivers):
        told = fleet.tell(number)
        receiver.twobeat("verify", timeout=600)
        total = check_traffic(receiver, told, last)
        print(f"{receiver.name}: {total} bytes in net.rrd, to the byte", flush=True)


def compare_rhythms(killed, steady):
    """What was learned of each host, against a receiver that was never killed."""
    one, other = ({host["host"]: host for host in receiver.json("status")["hosts"]} for receiver in (killed, steady))
    equal(set(one), set(other), "the hosts")
    for name, host in one.items():
        check(abs(host["interval"] - other[name]["interval"]) < 0.1 * T, f"interval: {host} {other[name]}")
        check(abs(host["margin"] - other[name]["margin"]) <= M_MAX, f"margin: {host} {other[name]}")


def test_kills(rng):
    kills(rng, hosts=500, count=10, gap_s=6, boundary_in_s=60)


def wait_clock(clock, wall):
    wait_until(lambda: clock.now() > wall, max(0, wall - clock.now()) + 30, "time passes")


def away(hosts, away_s, before_s, boundary_in_s, then_s=0):
    """The receiver is stopped for `away_s`, beginning `before_s` after the start; a 5-minute period ends meanwhile."""
    with World() as world:
        clock, boundary = clock_before_boundary(world, boundary_in_s)
        receiver = world.receiver()
        receiver.environment = clock.environment
        receiver.start()
        with Fleet(hosts, T, receiver, ahead_s=clock.ahead) as fleet:
            wait_clock(clock, boundary - boundary_in_s + before_s)
            receiver.stop()
            off_at = clock.now()
            wait_clock(clock, off_at + away_s)
            back_at = clock.now()
            receiver.start()
            fleet.settled(120)
            check(off_at + 5 < boundary < back_at - 5, "the period ended while it was away")
            last = boundary + (PERIOD_S if then_s else 0)
            wait_until(lambda: clock.now() > last + 3 * T + 2, PERIOD_S + 60, "the end of the period")
            receiver.twobeat("flush", timeout=600)
            receiver.twobeat("verify", timeout=600)
            total = check_traffic(receiver, fleet.tell(), last)
            print(f"away for {back_at - off_at:.0f} s: {total} bytes in net.rrd, to the byte", flush=True)
            start, end = int(off_at) + 2, int(back_at) - 1
            for host in receiver.uptime(start, end)["hosts"]:
                equal(host["seconds"]["unknown"], end - start, f"the state of that time: {host}")
            equal([row for row in transitions(receiver, "state NOT IN ('up', 'unknown')")], [], "wrong verdicts")
        receiver.stop()


class Bytes:
    """Sends now and then over an interface, but not near the end of a 5-minute period, and notes what its counters moved by."""

    def __init__(self, veth, clock):
        self.veth, self.clock = veth, clock
        self.before = self.read()
        self.moved = {}
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def read(self):
        count = self.veth.count(self.veth.name)
        return count["net_in"], count["net_out"]

    def _run(self):
        noted = int(self.clock.now()) // PERIOD_S * PERIOD_S
        while not self.ended.wait(0.2):
            phase = self.clock.now() % PERIOD_S
            if QUIET_S < phase < PERIOD_S - QUIET_S:  # what the kernel sends by itself (ARP) follows within a few seconds
                self.veth.send(int(phase) % 7)
            elif self.clock.now() > noted + PERIOD_S:
                now = self.read()
                self.moved[noted] = tuple(new - old for new, old in zip(now, self.before))
                self.before, noted = now, noted + PERIOD_S

    def end(self):
        self.ended.set()
        self.thread.join()


def away_real(away_s, before_s, boundary_in_s, then_s=0):
    """The same with the real agent, and the counters of an interface."""
    need_root()
    with World() as world, Veth() as veth:
        for words in (("link", "set", veth.name, "addrgenmode", "none"), ("link", "set", veth.name, "arp", "off")):
            subprocess.run(["ip", *words], check=True)
        # Else the kernel reports its multicast groups, at some time in the first seconds: 90 bytes that nobody here sent.
        for inside, end in (((), veth.name), (("nsenter", f"--net=/run/netns/{veth.space}"), "far")):
            subprocess.run([*inside, "sh", "-c", f"echo 1 >/proc/sys/net/ipv6/conf/{end}/disable_ipv6"], check=False)
        clock, boundary = clock_before_boundary(world, boundary_in_s)
        receiver = world.receiver()
        receiver.environment = clock.environment
        receiver.start()
        agent = world.agent("real", receiver, interfaces=[veth.name])
        agent.start()
        receiver.wait_state("real", "up")
        sent = Bytes(veth, clock)
        wait_clock(clock, boundary - boundary_in_s + before_s)
        receiver.stop()
        off_at = clock.now()
        wait_clock(clock, off_at + away_s)
        receiver.start()
        back_at = clock.now()
        check(off_at + 2 * QUIET_S < boundary < back_at - 5, "the period ended while it was away")
        last = boundary + then_s
        wait_clock(clock, max(last, back_at + 0.25 * away_s) + 10)
        sent.end()
        receiver.twobeat("flush")
        wanted = {start: moved for start, moved in sent.moved.items() if start < last}
        got = {start: tuple(map(round, row)) for start, row in net_rows(receiver, ["real"])["real"].items() if start < last}
        print(f"a real agent, away for {back_at - off_at:.0f} s: {wanted}", flush=True)
        check(all(moved[1] > 1000 for moved in wanted.values()), f"nothing moved: {wanted}")
        equal(got, wanted, "net.rrd")
        start, end = int(off_at) + 2, int(back_at) - 1
        equal(receiver.uptime(start, end, "real")["hosts"][0]["seconds"]["unknown"], end - start, "the state of that time")
        agent.stop()
        receiver.stop()


def test_away_with_a_real_agent(_):
    away_real(away_s=50, before_s=10, boundary_in_s=45)


def test_away(_):
    away(hosts=50, away_s=40, before_s=15, boundary_in_s=35)


if __name__ == "__main__":
    check(RECEIVER.exists(), f"{RECEIVER} is not built")
    check(RECORDED.exists(), f"{RECORDED} is not built")
    sys.exit(run_tests("kill", globals()))
