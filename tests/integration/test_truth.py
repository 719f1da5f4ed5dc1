#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_truth.py - what is recorded of hosts that reboot fast or freeze, and of receivers that stall, crash or are flooded.

Everything is real: processes, signals, namespaces of the kernel. Deadlines for what is seen live are generous, since the
machine may be busy; what is demanded exactly is what the record says afterwards.
"""
import contextlib
import multiprocessing
import os
import pathlib
import signal
import socket
import sqlite3
import sys
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import protocol  # noqa: E402  pylint: disable=wrong-import-position
from record import check_record, check_span, close_to, recorded  # noqa: E402  pylint: disable=wrong-import-position
from world import AGENT, ROOT, World, check, equal, need_root, run_tests, wait_until  # noqa: E402  pylint: disable=wrong-import-position

MACHINE = [sys.executable, ROOT / "tests" / "lib" / "machine.py"]
T = 1.0
M = 0.5  # margin at that interval
BUSY = 3.0  # how late anything may be seen on a busy machine


def wait_for(seconds):
    """What has to last so long, lasts so long."""
    end = time.time() + seconds
    wait_until(lambda: time.time() >= end, seconds + 60, "time passes")


def next_beat(receiver, name, seconds=20):
    """Waits for it. Returns the wall time at which it was heard."""
    before = receiver.look(name)["last_heard"]
    wait_until(lambda: receiver.look(name)["last_heard"] != before, seconds, f"the next beat of {name}")
    return time.time()


def up_and_warm(receiver, *agents):
    for agent in agents:
        agent.start()
    for agent in agents:
        receiver.wait_state(agent.name, "up")
    wait_for(2.2 * max(float(agent.settings["interval"][:-1]) for agent in agents if agent.settings["interval"] != "30s"))


def states(receiver, name):
    return [(o["state"], o["cause"]) for o in receiver.outages(name, start=1)]


def check_never_down(receiver, *names, causes=()):
    """Every second was up, or unknown for one of these causes; and each host is up now."""
    for name in names:
        receiver.wait_state(name, "up", 10)
        told = receiver.outages(name, start=1)
        check(all(o["state"] == "unknown" and o["cause"] in causes for o in told), f"{name} was never away: {told}")


def reboot(agent, uptime):
    """Starts it as on a machine that booted so many seconds ago. Returns the wall time of the boot."""
    agent.prefix = [*MACHINE, "--boot-id", str(uuid.uuid4()), "--uptime", str(uptime)]
    agent.start()
    # Up to here this machine started Python; from there on the other one's clock runs.
    wait_until(lambda: b"python" not in pathlib.Path(f"/proc/{agent.pid}/cmdline").read_bytes(), 20, "the agent runs there")
    return time.time() - uptime


# Hosts


def test_reboot(_):
    """Within half an interval, after a goodbye of the agent, and after a long silence: always down, from edge to boot."""
    need_root()
    interval = 6.0
    with World() as world:
        receiver = world.receiver().start()
        fast, polite, slow, other = [world.agent(name, receiver, interval=length) for name, length in
                                     (("fast", "6s"), ("polite", "6s"), ("slow", "1s"), ("other", "6s"))]
        for agent in (fast, polite, slow, other):
            agent.start()
        for agent in (fast, polite, slow, other):
            receiver.wait_state(agent.name, "up")
        slow_died = slow.kill()

        heard = next_beat(receiver, "fast")
        fast.kill()
        other.kill()
        wait_until(lambda: time.time() > heard + 2.5, 10, "the machine boots")
        other.start()
        fast_booted = reboot(fast, 0.2)
        receiver.wait_state("fast", "up", 1)
        check(time.time() < heard + interval, "this machine is too slow for the test: an expectation was missed")
        outage = recorded(receiver, "fast", 1)[0]
        check_span(outage, "down", "reboot", (heard + fast_booted) / 2, fast_booted)
        low, high = outage["bounds"]["from"]
        close_to(low, heard, 1.2, "the earliest begin is the last beat")
        close_to(high, fast_booted, 1.2, "the latest begin is the boot, which is earlier than the next beat")

        next_beat(receiver, "polite")
        left = polite.stop()
        wait_until(lambda: time.time() > left + 2.5, 10, "the machine boots")
        polite_booted = reboot(polite, 0.2)

        wait_until(lambda: time.time() > slow_died + 12, 20, "a long silence")
        equal(states(receiver, "slow"), [("down", "silent")], "it is silent")
        slow_booted = reboot(slow, 5)
        receiver.wait_state("slow", "up")
        check_span(recorded(receiver, "slow", 1)[0], "down", "reboot", slow_died - T / 2, slow_booted)
        next_beat(receiver, "polite")
        check_span(recorded(receiver, "polite", 1)[0], "down", "reboot", left, polite_booted)
        equal(receiver.outages("other"), [], "an agent that is killed and started in the same boot in time")
        check_record(receiver, ("fast", "polite", "slow", "other"), slow_died - 60)
        receiver.stop()


def test_agent_frozen(_):
    """A stopped process while its kernel runs on: two expectations were missed, so it is down, and was unreachable."""
    with World() as world:
        receiver = world.receiver().start()
        agent, short = world.agent("frozen", receiver), world.agent("short", receiver, interval="4s")
        up_and_warm(receiver, agent, short)
        agent.signal(signal.SIGSTOP)
        stopped = time.time()
        next_beat(receiver, "short")
        short.signal(signal.SIGSTOP)
        receiver.wait_state("frozen", "down", 6)
        equal(states(receiver, "frozen"), [("down", "silent")], "while it stands still")
        wait_for(1)
        short.signal(signal.SIGCONT)
        wait_until(lambda: time.time() > stopped + 5 * T, 10, "five intervals")
        agent.signal(signal.SIGCONT)
        went_on = time.time()
        receiver.wait_state("frozen", "up")
        for _ in range(3):
            next_beat(receiver, "frozen")
        check_span(recorded(receiver, "frozen", 1)[0], "down", "unreachable", stopped - T / 2, went_on)
        next_beat(receiver, "short")
        equal(receiver.outages("short"), [], "one that misses no expectation")
        for each in (agent, short, receiver):
            each.stop()


# Stalls of the receiver


def stall(receiver, seconds, meanwhile=None):
    """Stops it for so long. Returns the wall times of begin and end."""
    receiver.signal(signal.SIGSTOP)
    begin = time.time()
    if meanwhile:
        wait_for(seconds / 2)
        meanwhile()
    wait_until(lambda: time.time() >= begin + seconds, seconds + 60, "the stall lasts")
    receiver.signal(signal.SIGCONT)
    return begin, time.time()


def test_receiver_stalled(_):
    """For many intervals: those are unknown, who lives is up again, who died in them is down from their end."""
    with World() as world:
        receiver = world.receiver().start()
        names = ("alpha", "beta", "before", "within")
        a, b, before, within = [world.agent(name, receiver) for name in names]
        slow = world.agent("slow", receiver, interval="30s")
        began = time.time()
        slow.start()
        up_and_warm(receiver, a, b, before, within)
        before.kill()
        begin, end = stall(receiver, 10, within.kill)
        for name in ("before", "within"):
            receiver.wait_state(name, "down", 2 * T + M + BUSY)
        check_never_down(receiver, "alpha", "beta", causes=("receiver_overloaded",))
        for name in ("alpha", "beta"):
            check_span(recorded(receiver, name, 1)[0], "unknown", "receiver_overloaded", begin, end)
        for name in ("before", "within"):
            told = recorded(receiver, name, 2, is_open=True)
            check_span(told[0], "unknown", "receiver_overloaded", begin, end)
            # What waited in the socket was heard at the end of the stall, and is the last beat of the one that died within.
            check_span(told[1], "down", "silent", end + (name == "within") * T / 2, None)
            check(name == "within" or told[1]["from"] == told[0]["to"], f"down begins where unknown ends: {told}")
        started = before.start()
        receiver.wait_state("before", "up")
        check_span(recorded(receiver, "before", 2)[1], "down", "agent_died", end, started)
        check("could not observe for " in receiver.log(), f"the log tells of it: {receiver.log()[-500:]}")
        equal(receiver.outages("slow"), [], "one that was not expected in that time")
        check_record(receiver, names[:3], began)
        receiver.stop()


def test_receiver_stalled_shortly(_):
    """For less than a quarter of an interval, just when beats are due: that leaves no trace."""
    with World() as world:
        receiver = world.receiver().start()
        agents = [world.agent(name, receiver, interval="8s") for name in ("alpha", "beta")]
        up_and_warm(receiver, *agents)
        heard = next_beat(receiver, "alpha")
        wait_until(lambda: time.time() > heard + 7.2, 10, "the next beat is near")
        stall(receiver, 1.8)
        wait_for(9)
        check("could not observe for " in receiver.log(), "it was noticed")
        for agent in agents:
            next_beat(receiver, agent.name)
            equal(receiver.outages(agent.name), [], f"outages of {agent.name}")
        receiver.stop()


def test_receiver_stalls_again_and_again(_):
    """Neither is anybody down by it, nor does it hide a death for ever."""
    with World() as world:
        receiver = world.receiver().start()
        living, victim = world.agent("living", receiver), world.agent("victim", receiver)
        up_and_warm(receiver, living, victim)
        died, ran = victim.kill(), 0.0
        while receiver.state("victim") != "down":
            check(ran < 2 * T + M + BUSY, f"victim is not found in {ran:.1f} s of running: {receiver.look('victim')}")
            stall(receiver, 1.5)
            ran += 1.0
            wait_for(1.0)
        check_never_down(receiver, "living", causes=("receiver_overloaded",))
        told = receiver.outages("victim")
        check(told[0]["from"] <= died + T + M + 1.5 + 1, f"it is not up while nobody heard it: {told}")
        check(all(a["to"] == b["from"] for a, b in zip(told, told[1:])), f"nor later: {told}")
        receiver.stop()


# Crashes of the receiver


def decided_by_the_rule(receiver, name, grace):
    """A verdict in a crash loop: its second, and the one that follows from the receiver's own absences."""
    with contextlib.closing(sqlite3.connect(f"file:{receiver.data}/receiver.db?mode=ro", uri=True)) as db:
        decided = db.execute("SELECT min(decided) FROM transitions JOIN hosts ON hosts.id = host WHERE name = ? AND state = 'down'",
                             (name,)).fetchone()[0]
        off = db.execute("SELECT ended, (ended_ns - started_ns) / 1e9 FROM absences WHERE started < ? ORDER BY ended_ns",
                         (decided,)).fetchall()
    return decided, off[0][0] + grace + sum(length for _, length in off[1:])


def test_crash_loop(_):
    """Killed and started every second for a minute. A fresh chance is given once in a silence; later restarts only add their length."""
    with World() as world:
        receiver = world.receiver().start()
        hosts = {name: world.agent(name, receiver, interval=interval) for name, interval in
                 (("one", "1s"), ("five", "5s"), ("dead1", "1s"), ("dead5", "5s"))}
        up_and_warm(receiver, *hosts.values())
        grace = {name: 2 * (h := receiver.look(name))["interval"] + h["margin"] for name in ("dead1", "dead5")}
        died = {name: hosts[name].kill() for name in grace}
        began, observed = time.time(), 0.0
        while time.time() < began + 60:
            killed = receiver.kill()
            receiver.start()
            started = time.time()
            wait_until(lambda at=started: time.time() > at + 1.0, 5, "it runs for a second")
            observed += time.time() - started
        for name, at in died.items():
            equal(receiver.state(name), "down", f"{name}, after {observed:.0f} s of running")
            decided, wanted = decided_by_the_rule(receiver, name, grace[name])
            close_to(decided, wanted, BUSY, f"second of the verdict on {name}, dead since {at:.0f}")
            told = receiver.outages(name)
            check(set(states(receiver, name)) <= {("unknown", "receiver_off"), ("down", "silent")}, f"{name}: {told}")
            check(at - 6 < told[0]["from"] < at + grace[name], f"{name} died at {at}: {told}")
            check(all(a["to"] == b["from"] for a, b in zip(told, told[1:])) and told[-1]["to"] is None, f"without a gap: {told}")
        check_never_down(receiver, "one", "five", causes=("receiver_off",))
        died = hosts["five"].kill()
        receiver.wait_state("five", "down", grace["dead5"] + BUSY)
        last = wait_until(lambda: (o := receiver.outages("five")) and o[-1]["state"] == "down" and o[-1], 5, "its record")
        close_to(last["from"], died, 5 + 1, f"one that dies later: {last}")
        check_record(receiver, ("one", "dead1"), began)
        receiver.stop()


# Floods


def flood(address, seconds, names):
    """Garbage, and datagrams that look right up to their seal. A process of its own."""
    os.nice(10)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(address)
        good = [protocol.seal(protocol.BEAT, 1, name, os.urandom(300), bytes(32)) for name in (*names, *names, "stranger")]
        bad = [os.urandom(length) for length in (1, 400)]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for datagram in good + bad:
                for _ in range(20):
                    try:
                        s.send(datagram)
                    except OSError:
                        pass


def test_flood(_):
    """The socket overflows: nobody is down by it, and who dies in it is down when it is over."""
    need_root()
    with World() as world:
        receiver = world.receiver()
        # Without that right the buffer is the small one that the system gives to everybody.
        receiver.prefix = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]
        receiver.start()
        living = [world.agent(name, receiver) for name in ("alpha", "beta", "gamma")]
        victim = world.agent("victim", receiver)
        up_and_warm(receiver, *living, victim)
        attack = multiprocessing.get_context("spawn").Process(target=flood, args=(receiver.address, 20, ["alpha", "beta"]))
        attack.start()
        try:
            # Pauses too short to be a stall, as a busy machine makes them: however little this one can send, the buffer fills.
            died = None
            while attack.is_alive():
                stall(receiver, 0.2)
                wait_for(0.8)
                if not died and receiver.count()["dropped"] > 1000:
                    died = victim.kill()
        finally:
            attack.kill()
            attack.join()
        dropped = receiver.count()["dropped"]
        check(dropped > 1000, f"only {dropped} datagrams were dropped")
        receiver.wait_state("victim", "down", 2 * T + M + BUSY)
        print(f"flood: {dropped} dropped; victim: {receiver.outages('victim')}", flush=True)
        check_never_down(receiver, *(a.name for a in living), causes=("receiver_overloaded",))
        check(receiver.outages("victim")[0]["from"] >= died - T - 1, f"victim: {receiver.outages('victim')}")
        receiver.stop()


if __name__ == "__main__":
    check(AGENT.exists(), f"{AGENT} is not built")
    sys.exit(run_tests("truth", globals(), at_once=8))
