#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""soak_back.py - ten thousand agents, all cut off from their receiver for four minutes, find it again at once and send what they kept.
Takes half an hour, and 6 GB of disk. Prints what the receiver and the agents saw each second."""
import os
import pathlib
import shutil
import sys
import tempfile
import time

from test_kill import transitions
from fleet import Fleet
from world import RECEIVER, Skip, World, check, equal, run_tests, wait_until

HOSTS = int(os.environ.get("TWOBEAT_HOSTS", 10000))
AWAY_S = 240
DISK_BYTES = 8 * 10**9
ACK_GOAL_MS = 1000
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Watch:
    """One line a second: what the receiver counted in it, its CPU, and what the agents saw."""

    def __init__(self, receiver, fleet):
        self.receiver, self.fleet = receiver, fleet
        self.rows = []

    def run(self, seconds):
        """For so long, and on until nothing kept is sent."""
        before, cpu, begin = None, 0.0, time.monotonic()
        while time.monotonic() - begin < seconds or self.fleet.seconds[-1].kept:
            check(time.monotonic() - begin < 10 * seconds, "kept beats are still sent")
            seen = len(self.fleet.seconds)
            wait_until(lambda: len(self.fleet.seconds) > seen, 30, "the fleet's next second")  # pylint: disable=cell-var-from-loop
            told, used, mine = self.receiver.count(), cpu_s(self.receiver.pid), self.fleet.seconds[-1]
            before = before or dict.fromkeys(told, 0)
            row = {"received": told["received"] - before["received"], "cpu_percent": round(100 * (used - cpu)),
                   "challenged": told["challenged"] - before["challenged"], "beats": told["beats"] - before["beats"],
                   "dropped": told["dropped"] - before["dropped"], "too_many": told["too_many"] - before["too_many"],
                   "kept": mine.kept, "waiting": mine.waiting, "p50_ms": mine.p50_ms, "p99_ms": mine.p99_ms, "worst_ms": mine.worst_ms}
            before, cpu = told, used
            self.rows.append(row)
            if len(self.rows) <= 40:
                print(" ".join(f"{name} {value}" for name, value in row.items()), flush=True)

    def most(self, name):
        return max(row[name] for row in self.rows)

    def total(self, name):
        return sum(row[name] for row in self.rows)


def back(interval_s, spread):
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < DISK_BYTES:
        raise Skip(f"needs {DISK_BYTES // 10**9} GB in {tempfile.gettempdir()}, there are {free / 10**9:.1f}")
    with World() as world:
        receiver = world.receiver()
        receiver.start()
        with Fleet(HOSTS, interval_s, receiver, spread=spread) as fleet:
            wait_until(lambda: receiver.count()["beats"] >= 3 * HOSTS, 5 * interval_s + 60, "three beats of each host")
            receiver.stop()
            off = time.monotonic()
            wait_until(lambda: time.monotonic() > off + AWAY_S, AWAY_S + 30, "the receiver is away")
            receiver.start()
            watch = Watch(receiver, fleet)
            watch.run(2 * interval_s + 10)
            print(f"{HOSTS} agents at {interval_s} s, spread over {spread:g} of it, after {AWAY_S} s: at most {watch.most('received')} "
                  f"datagrams and {watch.most('challenged')} challenges a second, CPU {watch.most('cpu_percent')} %, acks p99 "
                  f"{watch.most('p99_ms')} ms, worst {watch.most('worst_ms')} ms, {watch.total('kept')} kept beats, "
                  f"{watch.total('dropped')} dropped by the kernel, {watch.total('too_many')} over the limit", flush=True)
            equal(transitions(receiver, "state NOT IN ('up', 'unknown')"), [], "wrong verdicts")
            equal((watch.total("dropped"), watch.total("too_many")), (0, 0), "datagrams dropped")
            check(watch.most("worst_ms") <= ACK_GOAL_MS, f"an ack took {watch.most('worst_ms')} ms")
            told = fleet.tell()
            made = sum(host.sent for host in told.values())
            safe = sum(host.safe.bit_count() for host in told.values())
            print(f"{made} beats made, {safe} told safe", flush=True)
            check(made - safe < 3 * HOSTS, f"{made - safe} beats are not safe yet")
        receiver.stop()


def test_ten_seconds_in_phase(_):
    back(10, 0)


def test_ten_seconds_spread(_):
    back(10, 1)


def test_minute_in_phase(_):
    back(60, 0)


def test_minute_spread(_):
    back(60, 1)


if __name__ == "__main__":
    check(RECEIVER.exists(), f"{RECEIVER} is not built")
    sys.exit(run_tests("soak back", globals(), at_once=1))
