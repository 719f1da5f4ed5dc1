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
import threading
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import protocol  # noqa: E402  pylint: disable=wrong-import-position
from network import Network  # noqa: E402  pylint: disable=wrong-import-position
from record import check_record, check_span, close_to, recorded  # noqa: E402  pylint: disable=wrong-import-position
from wallclock import WallClock  # noqa: E402  pylint: disable=wrong-import-position
from world import AGENT, ROOT, World, check, equal, need_mount_namespace, need_root, run_tests, wait_for, wait_until  # noqa: E402  pylint: disable=wrong-import-position

MACHINE = [sys.executable, ROOT / "tests" / "lib" / "machine.py"]
T = 1.0
M = 0.5  # margin at that interval
BUSY = 3.0  # how late anything may be seen on a busy machine


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


def reboot(agent, uptime, machine=tuple(MACHINE)):
    """Starts it as on a machine that booted so many seconds ago. Returns the wall time of the boot."""
    agent.prefix = [*machine, "--boot-id", str(uuid.uuid4()), "--uptime", str(uptime)]
    agent.start()
    # Up to here this machine started Python; from there on the other one's clock runs.
    wait_until(lambda: b"python" not in pathlib.Path(f"/proc/{agent.pid}/cmdline").read_bytes(), 20, "the agent runs there")
    return time.time() - uptime


# Hosts


def test_reboot(_):
    """Within half an interval, after a goodbye of the agent, and after a long silence: always down, from edge to boot."""
    need_root()
    need_mount_namespace()
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
        # Its first heartbeat was due before it went on, and tells so.
        check_span(recorded(receiver, "frozen", 1)[0], "down", "unreachable", stopped - T / 2, went_on - T / 4, slack=1.5)
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
            # Pauses too short to be noticed as a stall, as a busy machine makes them: however little is sent, the buffer fills.
            died = None
            while attack.is_alive():
                stall(receiver, 0.5)
                wait_for(0.8)
                if not died and receiver.count()["dropped"] > 1000:
                    died = victim.kill()
        finally:
            attack.kill()
            attack.join()
        dropped = receiver.count()["dropped"]
        check(dropped > 1000, f"only {dropped} datagrams were dropped")
        receiver.wait_state("victim", "down", 2 * T + M + BUSY)
        check_never_down(receiver, *(a.name for a in living), causes=("receiver_overloaded",))
        check(receiver.outages("victim")[0]["from"] >= died - T - 1, f"victim: {receiver.outages('victim')}")
        receiver.stop()


# The network


def in_network(network, world, name, place, receiver, **settings):
    agent = world.agent(name, receiver, folder=f"agent-{name}-{receiver.name}", **settings)
    agent.prefix = network.prefix(place)
    return agent


def network_receiver(network, world, name="recv"):
    receiver = world.receiver(name, listen=["10.77.0.1:0"])
    receiver.prefix = network.prefix("recv")
    return receiver.start()


def last_down(receiver, name):
    """The record of the outage that it is in, once it is stored."""
    return wait_until(lambda: (o := receiver.outages(name, start=1)) and o[-1]["state"] == "down" and o[-1]["to"] is None and o[-1],
                      5, lambda: f"{name} is down in the record: {receiver.outages(name, start=1)}")


def test_receiver_isolated(_):
    """Without any interface: unknown, however many hosts there are. Who died meanwhile is down from the end of that."""
    need_root()
    with World() as world:
        network = Network(world)
        many, one = network_receiver(network, world), network_receiver(network, world, "one")
        began = time.time()
        living = [in_network(network, world, name, "site1", many) for name in ("alpha", "beta")]
        victim, single = in_network(network, world, "victim", "site1", many), in_network(network, world, "single", "site1", one)
        up_and_warm(many, *living, victim)
        up_and_warm(one, single)
        network.pull("recv")
        begin = time.time()
        wait_for(5)
        victim.kill()
        for receiver, name in ((many, "alpha"), (many, "beta"), (many, "victim"), (one, "single")):
            receiver.wait_state(name, "unknown", 10)
            equal(receiver.look(name)["cause"], "receiver_isolated", f"cause for {name}")
        wait_until(lambda: time.time() > begin + 12, 20, "many intervals")
        network.pull("recv", False)
        end = time.time()
        many.wait_state("victim", "down", 2 * T + M + BUSY)
        for receiver, name in ((many, "alpha"), (many, "beta"), (one, "single")):
            check_never_down(receiver, name, causes=("receiver_isolated",))
            check_span(recorded(receiver, name, 1)[0], "unknown", "receiver_isolated", begin, end, slack=2)
        told = recorded(many, "victim", 2, is_open=True)
        check_span(told[0], "unknown", "receiver_isolated", begin, end, slack=2)
        equal((told[1]["state"], told[1]["from"]), ("down", told[0]["to"]), f"down from its end: {told}")
        equal(many.log().count("cut off: "), 1, "one notice for the receiver")
        check_record(many, ("alpha",), began)
        for receiver in (many, one):
            receiver.stop()


def test_receiver_deaf(_):
    """Its interface is up, but nothing comes through. Three hosts prove that, two do not."""
    need_root()
    with World() as world:
        network = Network(world)
        many, few = network_receiver(network, world), network_receiver(network, world, "few")
        living = [in_network(network, world, name, "site1", many) for name in ("alpha", "beta")]
        victim = in_network(network, world, "victim", "site1", many)
        pair = [in_network(network, world, name, "site1", few) for name in ("gamma", "delta")]
        up_and_warm(many, *living, victim)
        up_and_warm(few, *pair)
        network.block("site1")
        begin = time.time()
        wait_for(5)
        victim.kill()
        for name in ("alpha", "beta", "victim"):
            many.wait_state(name, "unknown", 10)
            equal(many.look(name)["cause"], "receiver_isolated", f"cause for {name}")
        for name in ("gamma", "delta"):
            few.wait_state(name, "down", 10)
        wait_until(lambda: time.time() > begin + 12, 20, "many intervals")
        network.block("site1", False)
        end = time.time()
        many.wait_state("victim", "down", 2 * T + M + BUSY)
        check_never_down(many, "alpha", "beta", causes=("receiver_isolated",))
        for name in ("alpha", "beta"):
            check_span(recorded(many, name, 1)[0], "unknown", "receiver_isolated", begin - T / 2, end, slack=2)
        check_span(last_down(many, "victim"), "down", "silent", end, None, slack=2)
        for name in ("gamma", "delta"):
            few.wait_state(name, "up")
            check_span(recorded(few, name, 1)[0], "down", "unreachable", begin, end, slack=2)
        for receiver in (many, few):
            receiver.stop()


def test_path_of_half(_):
    """Half of the hosts lost at once by their network. Who ran on was not down; who rebooted was."""
    need_root()
    need_mount_namespace()
    with World() as world:
        network = Network(world)
        half, less = network_receiver(network, world), network_receiver(network, world, "less")
        lost = [in_network(network, world, f"lost{i}", "site1", half) for i in range(4)]
        stay = [in_network(network, world, f"stay{i}", "site2", half) for i in range(3)]
        also = [in_network(network, world, f"also{i}", "site1", less) for i in range(3)]
        more = [in_network(network, world, f"more{i}", "site2", less) for i in range(4)]
        up_and_warm(half, *lost, *stay)
        up_and_warm(less, *also, *more)
        network.block("site1")
        begin = time.time()
        lost[3].kill()
        for receiver, agents in ((half, lost), (less, also)):
            for agent in agents:
                receiver.wait_state(agent.name, "down", 10)
        wait_until(lambda: time.time() > begin + 8, 20, "many intervals")
        place = lost[3].prefix
        booted = reboot(lost[3], 2, [*place, *MACHINE])
        network.block("site1", False)
        end = time.time()
        for receiver, agents, state in ((half, lost[:3], ("unknown", "receiver_path")), (less, also, ("down", "unreachable"))):
            for agent in agents:
                receiver.wait_state(agent.name, "up")
                next_beat(receiver, agent.name)
                wait_until(lambda r=receiver, n=agent.name, s=state: states(r, n) == [s], 10,
                           lambda r=receiver, n=agent.name, s=state: f"{n} was {s}: {r.outages(n)}")
                check_span(recorded(receiver, agent.name, 1)[0], *state, begin, end, slack=2)
        half.wait_state("lost3", "up")
        next_beat(half, "lost3")
        check_span(recorded(half, "lost3", 1)[0], "down", "reboot", begin - T / 2, booted)
        for receiver, agents in ((half, stay), (less, more)):
            for agent in agents:
                equal(receiver.outages(agent.name), [], agent.name)
            receiver.stop()


# Two machines with one key


def test_clone(_):
    """Both speak in turn: no outage. When the first one dies, the other takes over after two expectations."""
    need_root()
    need_mount_namespace()
    with World() as world:
        receiver = world.receiver().start()
        first, other = world.agent("web1", receiver), world.agent("web1", receiver, folder="clone")
        began = time.time()
        up_and_warm(receiver, first)
        boot_id = str(uuid.uuid4())
        other.prefix = [*MACHINE, "--boot-id", boot_id, "--uptime", "500"]
        other.start()
        wait_for(8)
        equal(receiver.outages("web1"), [], "outages while both speak")
        equal(receiver.state("web1"), "up", "while both speak")
        told = receiver.twobeat("status", "web1").stdout
        check("Another machine uses the key of web1" in told, f"status names the clone: {told}")
        equal(receiver.status("web1")["clone"]["boot_id"], uuid.UUID(boot_id).hex, "and its boot")
        died = first.kill()
        receiver.wait_state("web1", "down", 2 * T + M + BUSY)
        receiver.wait_state("web1", "up", T + BUSY)
        wait_for(6)
        outage = recorded(receiver, "web1", 1)[0]
        check(outage["state"] == "down" and outage["cause"] in ("unreachable", "agent_died"), f"no boot edge: {outage}")
        check(outage["from"] >= died - T - 1 and outage["to"] <= died + 2 * T + M + T + BUSY, f"{outage}, died at {died}")
        equal(receiver.state("web1"), "up", "the other one has taken over")
        check_record(receiver, ("web1",), began)
        receiver.stop()


def test_clone_that_boots(_):
    """A machine that was copied starts while the first one runs on. It looks like a reboot, until the first one speaks again."""
    need_root()
    need_mount_namespace()
    with World() as world:
        receiver = world.receiver().start()
        first, other = world.agent("web1", receiver), world.agent("web1", receiver, folder="clone")
        up_and_warm(receiver, first)
        began = time.time()
        reboot(other, 0.2)
        for _ in range(8):
            next_beat(receiver, "web1")
        receiver.wait_state("web1", "up", 5)
        other.kill()
        wait_for(5)
        receiver.wait_state("web1", "up", 5)
        check(all(o["seconds"] <= 2 for o in receiver.outages("web1")), f"since {began}: {receiver.outages('web1')}")
        equal(receiver.outages("web1"), [], "what remains of it")
        receiver.stop()


# The wall clock


def clocked(world, **settings):
    """A receiver with a wall clock of its own, and that."""
    receiver = world.receiver(**settings)
    clock = WallClock(receiver.folder)
    receiver.environment = clock.environment
    return receiver, clock


def check_labels(receiver, first=1):
    """Labels in the record never run backwards, from that line of each host on."""
    with contextlib.closing(sqlite3.connect(f"file:{receiver.data}/receiver.db?mode=ro", uri=True)) as db:
        for host, name in db.execute("SELECT id, name FROM hosts").fetchall():
            lines = db.execute("SELECT number, at, decided, restates FROM transitions WHERE host = ? AND number >= ? ORDER BY number",
                               (host, first)).fetchall()
            check(all(a[2] <= b[2] for a, b in zip(lines, lines[1:])), f"{name} was told of in this order: {lines}")
            check(all(at <= decided for _, at, decided, _ in lines), f"nothing is told of times to come: {lines}")


def find_death(receiver, agent):
    """A host that dies gets its verdict in time, whatever the wall clock says."""
    agent.kill()
    receiver.wait_state(agent.name, "down", 2 * T + M + BUSY)
    outage = last_down(receiver, agent.name)
    agent.start()
    receiver.wait_state(agent.name, "up")
    return outage


def test_clock_set_forward(_):
    with World() as world:
        receiver, clock = clocked(world)
        receiver.start()
        agents = [world.agent(name, receiver) for name in ("alpha", "beta")]
        up_and_warm(receiver, *agents)
        before = clock.now()
        clock.step(3600)
        wait_for(6)
        check_never_down(receiver, "alpha", "beta", causes=("clock_step",))
        for name in ("alpha", "beta"):
            check_span(recorded(receiver, name, 1)[0], "unknown", "clock_step", before, before + 3600, slack=3)
        check("the wall clock was set forward" in receiver.log(), receiver.log()[-500:])
        outage = find_death(receiver, agents[1])
        close_to(outage["from"], clock.now(), 10, "a death is told by the new clock")
        check_record(receiver, ("alpha", "beta"), before, clock.now)
        check_labels(receiver)
        equal(states(receiver, "alpha"), [("unknown", "clock_step")], "of one that was always up")
        receiver.stop()


def test_clock_set_back(_):
    with World() as world:
        receiver, clock = clocked(world)
        receiver.start()
        agents = [world.agent(name, receiver) for name in ("alpha", "beta")]
        up_and_warm(receiver, *agents)
        before = time.time()
        clock.step(-3600)
        wait_for(6)
        check_never_down(receiver, "alpha", "beta")
        check("the wall clock says" in receiver.log(), receiver.log()[-500:])
        outage = find_death(receiver, agents[1])
        # The same is told to whoever asks with the wrong clock and with the right one, and maintenance begins now.
        ahead = receiver.json("uptime", "beta", "--days", "1")["hosts"][0]["seconds"]
        environment, receiver.environment = receiver.environment, {}
        check(ahead["down"] >= 1 and receiver.json("outages", "beta", "--days", "1")["outages"], f"by the wrong clock: {ahead}")
        receiver.environment = environment
        receiver.twobeat("maintenance", "start", "beta", "--for", "1m")
        equal([w["state"] for w in receiver.json("maintenance", "list")["maintenance"]], ["running"], "maintenance")
        receiver.twobeat("maintenance", "end", "beta")
        close_to(outage["from"], time.time(), 12, "a death is told where the labels are")
        clock.set_ahead(0)
        wait_for(4)
        check_never_down(receiver, "alpha", causes=("clock_step",))
        find_death(receiver, agents[1])
        check_record(receiver, ("alpha", "beta"), before)
        check_labels(receiver)
        receiver.stop()


def test_clock_slewed(_):
    """As a time daemon does it, only much faster: no second is unknown, in either direction."""
    with World() as world:
        receiver, clock = clocked(world)
        receiver.start()
        agents = [world.agent(name, receiver) for name in ("alpha", "beta")]
        up_and_warm(receiver, *agents)
        before = time.time()
        for rate in (0.2, -0.2):  # 4 s forth and back: more than a step that would be told
            begin = time.time()
            while time.time() < begin + 20:
                at = time.time()
                wait_for(0.1)
                clock.step(rate * (time.time() - at))
        check_never_down(receiver, "alpha", "beta")
        for name in ("alpha", "beta"):
            equal(receiver.outages(name), [], name)
        find_death(receiver, agents[1])
        check_record(receiver, ("alpha", "beta"), before, clock.now)
        check_labels(receiver)
        receiver.stop()


def test_clock_read_late(_):
    """The receiver is held up just before it looks at the wall clock. It stood still; the clock was not set."""
    with World() as world:
        receiver, clock = clocked(world)
        receiver.start()
        agents = [world.agent(name, receiver) for name in ("alpha", "beta")]
        up_and_warm(receiver, *agents)
        before = clock.now()
        clock.hold_up(6)
        wait_until(lambda: "could not observe" in receiver.log(), 20, "it was held up")
        wait_for(4)
        check("the wall clock" not in receiver.log(), f"nobody set the clock: {receiver.log()[-800:]}")
        check_never_down(receiver, "alpha", "beta", causes=("receiver_overloaded",))
        for name in ("alpha", "beta"):
            check_span(recorded(receiver, name, 1)[0], "unknown", "receiver_overloaded", before, before + 6, slack=2.5)
        receiver.stop()


def test_clock_never_set(_):
    """A machine that thinks it is 1970 judges, and records once it knows better."""
    with World() as world:
        receiver, clock = clocked(world)
        clock.set_to(1000)
        receiver.start()
        receiver.environment = {}  # who asks knows what time it is
        agents = [world.agent(name, receiver) for name in ("alpha", "beta")]
        up_and_warm(receiver, *agents)
        find_death(receiver, agents[1])
        clock.set_ahead(0)
        right = time.time()
        wait_for(6)
        for name in ("alpha", "beta"):
            receiver.wait_state(name, "up", 5)
        check(receiver.outages("alpha", start=1)[-1]["to"] <= right + 3, f"up since the clock is right: {receiver.outages('alpha', start=1)}")
        close_to(find_death(receiver, agents[1])["from"], time.time(), 12, "a death is told by the right clock")
        check_never_down(receiver, "alpha", causes=("clock_step",))
        check_record(receiver, ("alpha", "beta"), right)
        check_labels(receiver)
        receiver.stop()


def restart_in_the_past(world, past, off):
    """A record up to now, then a start with an older clock, which is set right later."""
    receiver, clock = clocked(world)
    receiver.start()
    agents = [world.agent(name, receiver) for name in ("alpha", "beta")]
    began = time.time()
    up_and_warm(receiver, *agents)
    receiver.stop()
    stopped = time.time()
    wait_for(off)
    past(clock)
    receiver.start()
    started = time.time()
    receiver.environment = {}
    wait_for(4)
    for agent in agents:
        receiver.wait_state(agent.name, "up", 5)
    equal(len([line for line in receiver.lines() if "the wall clock says" in line]), 1, f"the log tells of it once: {receiver.lines()}")
    agents[1].kill()
    receiver.wait_state("beta", "down", 2 * T + M + BUSY)
    agents[1].start()
    receiver.wait_state("beta", "up")
    clock.set_ahead(0)
    wait_for(6)
    check_never_down(receiver, "alpha", causes=("receiver_off", "clock_step"))
    unknown = sum(o["seconds"] for o in receiver.outages("alpha", start=1))
    check(unknown <= time.time() - stopped + 3, f"unknown for {unknown} s, started {started - stopped} s after the stop")
    find_death(receiver, agents[1])
    check_record(receiver, ("alpha", "beta"), began)
    check_labels(receiver)
    receiver.stop()


def test_clock_lost_at_a_restart(_):
    with World() as world:
        restart_in_the_past(world, lambda clock: clock.set_to(1000), 4)


def test_clock_an_hour_back_at_a_restart(_):
    with World() as world:
        restart_in_the_past(world, lambda clock: clock.step(-3600), 4)


def test_record_from_the_future(_):
    """More than a day ahead: that is no clock that will catch up. Refused with one line that names the way out."""
    with World() as world:
        receiver, clock = clocked(world)
        clock.set_ahead(2 * 86400 + 60)
        receiver.start()
        agent = world.agent("alpha", receiver)
        up_and_warm(receiver, agent)
        receiver.stop()
        clock.set_ahead(0)
        receiver.spawn()
        code = receiver.process.wait(20)
        receiver.process = None
        check(code not in (0, None), f"it refuses to start: {code}")
        equal(len(receiver.lines()), 1, f"one line: {receiver.lines()}")
        check("ahead" in receiver.lines()[0] and "twobeat cut" in receiver.lines()[0], f"it names the command: {receiver.lines()}")
        # It becomes the owner of the record, and so cannot look for leaks.
        receiver.twobeat("cut", "--to", "now", env={"ASAN_OPTIONS": clock.environment["ASAN_OPTIONS"] + ":detect_leaks=0"})
        receiver.start()
        receiver.wait_state("alpha", "up", 10)
        close_to(receiver.look("alpha")["last_heard"], time.time(), BUSY, "labels by the right clock")
        find_death(receiver, agent)
        check_labels(receiver, 2)  # the cut goes back
        receiver.twobeat("verify")
        receiver.stop()


if __name__ == "__main__":
    check(AGENT.exists(), f"{AGENT} is not built")
    sys.exit(run_tests("truth", globals(), at_once=8))
