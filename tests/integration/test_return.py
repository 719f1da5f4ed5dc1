#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_return.py - a fleet that returns all at once, after an outage by which every state.rrd must be made anew.

The hosts were frozen: their first beat tells that they ran on for an interval after the last one, so the outage began later
than what was written. soak_return.py does the same with ten thousand hosts.
"""
import contextlib
import json
import pathlib
import sqlite3
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from world import BUILD, RECEIVER, World, check, equal, own, run_tests, wait_until  # noqa: E402  pylint: disable=wrong-import-position

CROWD = BUILD / "tests" / "crowd"
INTERVAL_S = 5
MAKES_PER_S = 50
DAYS, LINES = 100, 40  # of the record that they come with
SETTLE_S = 60  # a host that is down is written up to so long ago


class Crowd:
    """Thousands of agents in one process, see tests/bench/crowd.c."""

    def __init__(self, receiver, count):
        self.process = subprocess.Popen([CROWD, str(receiver.address[1]), receiver.world.site_key_path, str(count), str(INTERVAL_S)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.seconds = []  # (sent, acked, waiting, worst_ms)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.seconds.append(tuple(map(int, line.split()))[1:])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.wait(10)
        self.reader.join(10)

    def say(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()


def give_history(receiver, count):
    """Every host comes with a record of many days, as of a receiver that was restored from a copy."""
    receiver.start()
    receiver.stop()
    first = int(time.time()) - DAYS * 86400
    step = DAYS * 86400 // LINES
    with contextlib.closing(sqlite3.connect(receiver.data / "receiver.db")) as db:
        db.executemany("INSERT INTO hosts (id, name, first_at, position, written_to, lines) VALUES (?, ?, ?, 0, 0, 0)",
                       ((i + 1, f"h{i}", first) for i in range(count)))
        db.executemany("INSERT INTO transitions (host, number, at, state, cause, earliest, latest, decided) "
                       "VALUES (?1, ?2, ?3, ?4, ?5, ?3, ?3, ?3)",
                       ((i + 1, n + 1, first + n * step + i % 7, "down" if n % 2 else "up", "silent" if n % 2 else "")
                        for i in range(count) for n in range(LINES)))
        db.commit()
    for path in receiver.data.iterdir():
        own(path)


def written_to(receiver):
    """Up to when every file is written."""
    with contextlib.closing(sqlite3.connect(f"file:{receiver.data}/receiver.db?mode=ro", uri=True)) as db:
        return db.execute("SELECT min(written_to) FROM hosts").fetchone()[0]


def queued(receiver):
    return receiver.count()["queued"]


def fall_silent(receiver, crowd, count):
    """Nearly all of them, until what is written reaches into the outage. Returns when it began."""
    wait_until(lambda: receiver.count()["beats"] >= 3 * count, 120, "three beats of each host")
    crowd.say("silent")
    silent = time.time()
    receiver.twobeat("flush", timeout=600)  # makes every file for the first time
    wait_until(lambda: time.time() > silent + SETTLE_S + 3 * INTERVAL_S, 120, "the start of the outage is settled")
    check(receiver.state("h1") == "down", f"h1: {receiver.look('h1')}")
    receiver.twobeat("flush", timeout=600)
    check(written_to(receiver) > silent, f"written up to {written_to(receiver)}, and all is silent since {silent}")
    equal(queued(receiver), 0, "nothing is queued")
    return silent


def watch(receiver, crowd, seconds, until=0):
    """Prints and returns the length of the queue, second by second, until it is `until`."""
    lengths = []
    begin = time.monotonic()

    def short_enough():
        if time.monotonic() - begin < len(lengths):
            return False
        lengths.append(queued(receiver))
        return len(lengths) > INTERVAL_S and lengths[-1] <= until

    beats = len(crowd.seconds)
    wait_until(short_enough, seconds, lambda: f"the queue is as short as {until}: {lengths[-9:]}")
    every = max(1, len(lengths) // 12)
    print(f"queued, each {every} s: {' '.join(map(str, lengths[::every]))}", flush=True)
    return lengths, crowd.seconds[beats:]


def check_one_that_dies(receiver, found):
    """In a thread: host 0 has just died. It is told down in time, though thousands of files are being made."""
    died = time.monotonic()
    try:
        receiver.wait_state("h0", "down", 3 * INTERVAL_S + 5)
        found.append(time.monotonic() - died)
    except AssertionError as why:
        found.append(why)


def returns(count, kills):
    with World() as world:
        receiver = world.receiver()
        give_history(receiver, count)
        receiver.start()
        with Crowd(receiver, count) as crowd:
            fall_silent(receiver, crowd, count)
            crowd.say("return", INTERVAL_S)
            wait_until(lambda: sum(s[1] for s in crowd.seconds[-INTERVAL_S - 1:]) >= count * 0.9, 30, "they are back")
            most = queued(receiver)
            check(most > count / 3, f"only {most} are queued")
            crowd.say("die", 0)
            verdict = []
            death = threading.Thread(target=check_one_that_dies, args=(receiver, verdict))
            death.start()
            answer = json.loads(receiver.twobeat("verify", "h?*9", "--json", timeout=600).stdout)
            check(answer["queued"] > 0 and all(h["agrees"] for h in answer["hosts"]), f"queued: {answer['queued']}")
            asked = time.monotonic()
            receiver.twobeat("flush", f"h{count - 1}")
            check(time.monotonic() - asked < 5, "a flush comes before the queue")
            lengths, seconds = watch(receiver, crowd, 60 + count / MAKES_PER_S * 2, most // 2 if kills else 0)
            worst = max(s[3] for s in seconds)
            print(f"{sum(s[1] for s in seconds)} beats acked meanwhile, the slowest after {worst} ms", flush=True)
            check(worst < 1200, f"a beat was acked after {worst} ms")
            death.join()
            check(isinstance(verdict[0], float) and verdict[0] < 3 * INTERVAL_S, f"the host that died meanwhile: {verdict[0]}")
            print(f"a host that died meanwhile was told down after {verdict[0]:.1f} s, its interval being {INTERVAL_S} s")
            if kills:
                before = queued(receiver)
                receiver.kill()
                text = world.twobeat("verify", "--data", receiver.data, timeout=600).stdout
                check(", 0 differ, " in text and " queued" in text, f"while it is stopped: {text}")
                receiver.start()
                after = queued(receiver)
                # Those that were made since the last commit are made again.
                check(count / 10 < after <= before + 2 * MAKES_PER_S, f"{before} were queued before the kill, {after} after it")
                watch(receiver, crowd, 60 + count / MAKES_PER_S * 2)
            else:
                rate = (lengths[0] - lengths[-1]) / len(lengths)
                print(f"{rate:.1f} files made anew a second, {len(lengths)} s in all", flush=True)
                check(rate < 1.1 * MAKES_PER_S, "more than are allowed")
            receiver.twobeat("flush", timeout=600)
            answer = json.loads(receiver.twobeat("verify", "--json", timeout=600).stdout)
            equal((len(answer["hosts"]), answer["queued"]), (count, 0), "verify afterwards")
            causes = [o["cause"] for o in receiver.outages("h1")]
            check("frozen" in causes, f"what became of the outage: {causes}")
        receiver.stop()


def test_all_at_once(_):
    returns(1000, kills=True)


if __name__ == "__main__":
    check(RECEIVER.exists(), f"{RECEIVER} is not built")
    check(CROWD.exists(), f"{CROWD} is not built")
    sys.exit(run_tests("return", globals()))
