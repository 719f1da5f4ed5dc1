#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_flood.py - datagrams that nobody asked for, as many as this machine can send, on a receiver to which real agents speak.

The same machine sends the flood, takes it, and beats: the flood is at the limit of both. soak_flood.py does the same for longer.
"""
import contextlib
import os
import pathlib
import re
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import protocol  # noqa: E402  pylint: disable=wrong-import-position
from world import BUILD, RECEIVER, World, check, equal, run_tests, wait_until, write_private  # noqa: E402  pylint: disable=wrong-import-position

FLOOD = BUILD / "tests" / "flood"
SLACK_S = 2.5  # the end is noticed with the next beat and half a second later; and a look at the state of a host on a busy machine
PAGES_BYTES = 2 << 20  # of the database, which are kept in memory sooner or later, flood or not
TICKS = os.sysconf("SC_CLK_TCK")


def memory_bytes(daemon):
    """PSS where we may look at it, else RSS."""
    try:
        text = pathlib.Path(f"/proc/{daemon.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Pss:\s+(\d+) kB", text, re.M)[1]) * 1024
    except PermissionError:
        return daemon.rss_bytes()


def cpu_s(daemon):
    words = pathlib.Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


def start_receiver(world):
    """One that hands back what it frees, also if it has sanitizers, so that its memory can be looked at."""
    receiver = world.receiver()
    receiver.environment["ASAN_OPTIONS"] = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "quarantine_size_mb=0",
                                                                  "thread_local_quarantine_size_kb=0")))
    return receiver.start()


class Flood:
    """tests/bench/flood.c, from so many senders at once. In a `with` block; at its end `sent`, `answered`, `seconds` and `cpu` tell of
    it, and `moved` what it did to the statistics."""

    def __init__(self, receiver, seconds, kind, *arguments, rate=0, senders=1):
        check(FLOOD.exists(), f"{FLOOD} is not built")
        self.receiver = receiver
        self.before, self.cpu_before = receiver.count(), cpu_s(receiver)
        words = [str(w) for w in (FLOOD, receiver.address[1], seconds, rate / senders, kind, *arguments)]
        self.senders = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(senders)]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            for sender in self.senders:
                sender.kill()
        lines = [sender.communicate()[0] for sender in self.senders]
        if kind:
            return
        told = [re.fullmatch(r"sent (\d+) answered (\d+) seconds ([\d.]+) cpu ([\d.]+)\n", line) for line in lines]
        check(all(told), f"the flood said {lines}")
        self.sent, self.answered = (sum(int(words[i]) for words in told) for i in (1, 2))
        self.seconds = max(float(words[3]) for words in told)
        self.cpu = sum(float(words[4]) for words in told)
        self.receiver_cpu = cpu_s(self.receiver) - self.cpu_before
        # What still waits in the socket is taken, or known to be dropped with the next datagram that is taken.
        last = {}

        def settled():
            now = self.receiver.count()
            same = now["received"] == last.get("received")
            last.update(now)
            return same
        wait_until(settled, 20, "the socket is empty")

    def is_on(self):
        return any(sender.poll() is None for sender in self.senders)

    def moved(self):
        after = self.receiver.count()
        return {name: after[name] - self.before[name] for name in after if after[name] != self.before[name]}

    def line(self, what):
        moved = self.moved()
        return (f"{what}: a second {self.sent / self.seconds:.0f} sent, {moved['received'] / self.seconds:.0f} taken, "
                f"{moved.get('dropped', 0) / self.seconds:.0f} dropped by the kernel; CPU of the receiver "
                f"{100 * self.receiver_cpu / self.seconds:.0f} %, of the flood {100 * self.cpu / self.seconds:.0f} %")


class Fleet:
    """Real agents that beat each second, all of them up and known well."""

    def __init__(self, world, receiver, count):
        self.receiver = receiver
        self.agents = [world.agent(f"web{i}", receiver) for i in range(count)]
        self.names = [agent.name for agent in self.agents]
        self.dead = []  # names
        self.stolen = None  # the name that a thief speaks under as well: of that anything may be recorded
        for agent in self.agents:
            agent.start()
        wait_until(lambda: len(receiver.try_ask("status")["hosts"]) == count, 30, "all are heard")
        heard = receiver.count()["beats"]
        wait_until(lambda: receiver.count()["beats"] >= heard + 5 * count, 30, "all are known well")

    def kill(self):
        """The next one that lives. Returns its name, and how long a death may stay hidden by itself."""
        agent = self.agents[len(self.dead)]
        host = self.receiver.look(agent.name)
        agent.kill()
        self.dead.append(agent.name)
        return agent.name, 2 * host["interval"] + host["margin"]

    def check_record(self):
        def down():
            return sorted({o["host"] for o in self.receiver.outages(*self.names) if o["state"] == "down" and o["host"] != self.stolen})
        # What is told is on the disk within a second or so.
        wait_until(lambda: len(down()) >= len(self.dead), 5, lambda: f"recorded down: {down()}, dead: {self.dead}")
        equal(down(), sorted(self.dead), "recorded down")

    def stop(self):
        for agent in self.agents:
            if agent.name not in self.dead:
                agent.stop()


def die_in_flood(fleet, seconds, kind, *arguments, **how):
    """One dies in the flood. Nobody else is down meanwhile, and it is when the flood is over, at the latest."""
    receiver = fleet.receiver
    before = list(fleet.dead)
    seen = set()
    with Flood(receiver, seconds, kind, *arguments, **how) as flood:
        begin = time.monotonic()
        wait_until(lambda: time.monotonic() > begin + min(1, seconds / 4), seconds, "the flood is on")
        name, hidden_s = fleet.kill()
        killed = time.monotonic()
        while flood.is_on():
            states = {h["host"]: h["state"] for h in receiver.try_ask("status")["hosts"]}
            seen.update(h for h, state in states.items() if state == "down" and h != name)
            time.sleep(0.1)
        end = time.monotonic()
    receiver.wait_state(name, "down", max(0.1, max(end, killed) + hidden_s + SLACK_S - time.monotonic()))
    down = time.monotonic()
    equal(sorted(seen), before, "seen down in the flood")
    fleet.check_record()
    return flood, f"a host that died {killed - begin:.1f} s after it began was down {down - end:+.1f} s from its end"


def disk_bytes(receiver):
    return sum(path.stat().st_size for path in receiver.data.glob("receiver.db*"))


def steal(fleet, seconds):
    """A thief sends as many rightly sealed beats as the machine can make. The others are heard as before."""
    receiver, world = fleet.receiver, fleet.receiver.world
    fleet.stolen = victim = fleet.names[-1]
    others = [name for name in fleet.names[:-1] if name not in fleet.dead]
    key = write_private(world.folder / "stolen.key", world.key(victim).line() + "\n")
    disk, memory = disk_bytes(receiver), memory_bytes(receiver)
    with Flood(receiver, seconds, "stolen", key) as flood:
        begin = time.monotonic()
        while flood.is_on():
            for host in receiver.try_ask("status")["hosts"]:
                check(host["host"] not in others or host["state"] in ("up", "late"), f"seen in the flood: {host}")
            time.sleep(0.1)
        lasted = time.monotonic() - begin
    moved = flood.moved()
    taken = moved["beats"] + moved.get("known", 0) + moved.get("cloned", 0)
    grown, more = disk_bytes(receiver) - disk, memory_bytes(receiver) - memory
    print(f"{flood.line('sealed with a stolen key')}; {taken} beats of all hosts accepted, database {grown:+d} bytes, "
          f"memory {more:+d} bytes", flush=True)
    # 50 a second and 500 at once of the victim, whoever speaks for it, and what the others say.
    check(taken <= 500 + (50 + 3 * len(others)) * (lasted + 3), f"{taken} beats accepted: {moved}")
    check(moved["too_many"] > taken, f"{moved}")
    check(flood.answered <= taken + moved["challenges"], f"{flood.answered} answers: {moved}")
    check(grown < 1000 * taken + (1 << 20), f"the database grew by {grown} bytes")
    check(more < 4 << 20, f"grew by {more} bytes")
    fleet.check_record()


def floods(hosts, seconds, rounds, stolen_s):
    with World() as world:
        receiver = start_receiver(world)
        fleet = Fleet(world, receiver, hosts)
        name, hidden_s = fleet.kill()
        receiver.wait_state(name, "down", hidden_s + SLACK_S)
        memory, log = 0, None
        limit = 0
        for n in range(rounds):
            # Two senders leave no room for anything else. Then a little more than was taken: some of the beats get through.
            for rate in (0, 1.3):
                flood, death = die_in_flood(fleet, seconds, "forged", *fleet.names, rate=rate * limit, senders=2)
                moved = flood.moved()
                equal(flood.answered, 0, "answers")
                if rate == 0:
                    limit = moved["received"] / flood.seconds
                forged = moved.get("bad_seal", 0)
                others = sum(moved.get(name, 0) for name in moved if name.startswith("bad_") and name != "bad_seal")
                equal(others, 0, f"dropped for another reason: {moved}")
                check(flood.sent - moved.get("dropped", 0) * 1.01 - 100 <= forged <= flood.sent, f"sent {flood.sent}: {moved}")
                print(f"{flood.line(f'forged, round {n + 1}')}; {death}", flush=True)
                wait_until(lambda: all(receiver.state(name) == "up" for name in fleet.names if name not in fleet.dead), 10,
                           "all that live are up")
                if n == 0 and rate == 0:
                    memory = memory_bytes(receiver)
        grown = memory_bytes(receiver) - memory
        check(grown < PAGES_BYTES + (1 << 20), f"grew by {grown} bytes")
        steal(fleet, stolen_s)
        receiver.twobeat("flush")
        receiver.twobeat("verify")
        fleet.stop()
        receiver.stop()


def test_flood(_):
    """What the receiver cannot take makes nobody down, and hides a death no longer than it lasts, half a second and 2 T + m; and a
    stolen key does no harm to other hosts."""
    floods(hosts=10, seconds=3, rounds=1, stolen_s=2)


def rows(receiver):
    """{table: rows} of the database, and those of the journal. That notes once a second that the kernel drops datagrams."""
    with contextlib.closing(sqlite3.connect(f"file:{receiver.data}/receiver.db?mode=ro", uri=True)) as db:
        tables = [name for name, in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables if table != "journal"}, \
            db.execute("SELECT count(*) FROM journal").fetchone()[0]


def answers_of(client):
    """The datagrams themselves: a challenge and an ack."""
    client.socket.settimeout(5)
    client.send_beat(interval_ms=3600000)
    challenge = client.socket.recv(2048)
    client.echo = protocol.Challenge.decode(protocol.open_datagram(challenge, client.key.key)[1]).value
    client.send_beat(interval_ms=3600000)
    return challenge, client.socket.recv(2048)


def nothing_comes_of_it(seconds, stride, rate):
    """Datagrams without a key, of every kind: no answer, no line, no row, no memory, no descriptor."""
    with World() as world:
        receiver = start_receiver(world)
        with receiver.client("known") as client:
            answers = answers_of(client)
        own_sent = client.sent
        given = world.folder / "given"
        given.write_bytes(b"".join(len(d).to_bytes(2, "big") + d for d in (*answers, own_sent)))
        wait_until(lambda: rows(receiver)[0]["hosts"] == 1, 10, "the host is in the database")
        kinds = (("every", stride, "known", "a", "b" * 100), ("garbage",), ("forged", "known", "never-heard", "c" * 100), ("given", given))

        def state():
            return {"log": receiver.log(), "rows": rows(receiver)[0], "hosts": receiver.try_ask("status")["hosts"][0]["last_heard"],
                    "files": sorted(map(str, receiver.data.rglob("*")))}
        before, memory, opened, notes = None, 0, 0, 0
        count, answered = 0, 0
        for n, kind in enumerate((*kinds, *kinds)):  # once to warm up: the process takes pages for itself at first
            with Flood(receiver, 120 if kind[0] == "every" else seconds, *kind, rate=rate) as flood:
                pass
            moved = flood.moved()
            came, dropped = moved.pop("received"), moved.pop("dropped", 0)
            check(came + dropped >= flood.sent, f"{kind[0]}: {flood.sent} sent, {came} came, {dropped} dropped")
            check(all(name.startswith("bad_") or name in ("unknown_key", "repeated") for name in moved), f"{kind[0]} moved {moved}")
            equal(sum(moved.values()), came, f"{kind[0]} moved {moved}")
            if n < len(kinds):
                before, memory, opened, notes = state(), memory_bytes(receiver), descriptors(receiver), rows(receiver)[1]
                continue
            count, answered = count + flood.sent, answered + flood.answered
            noted, notes = notes, rows(receiver)[1]
            check(notes - noted <= (2 + flood.seconds if dropped else 0), f"{notes - noted} entries of the journal, {dropped} dropped")
            for what, value in state().items():
                equal(value, before[what], f"{what} after {kind[0]}")
            wait_until(lambda: descriptors(receiver) <= opened, 5, f"{opened} descriptors, as before {kind[0]}")
        grown = memory_bytes(receiver) - memory
        print(f"{count} datagrams without a key: {answered} answers, 0 bytes of log, 0 rows, memory {grown:+d} bytes", flush=True)
        equal(answered, 0, "answers")
        check(grown < 256 << 10, f"grew by {grown} bytes")
        receiver.stop()


def test_without_a_key(_):
    nothing_comes_of_it(seconds=1, stride=11, rate=30000)


if __name__ == "__main__":
    check(RECEIVER.exists(), f"{RECEIVER} is not built")
    sys.exit(run_tests("flood", globals(), at_once=1))
