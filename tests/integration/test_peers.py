#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_peers.py - several receivers that ask each other, in a network whose cables are cut, held against what was done to it.

Real programs in network name spaces: receivers, sites with agents at 1 s, and wires where datagrams are to be lost or kept. What the
script did when is the truth; every span of every record is compared with it, and the records are merged, best state first. A
verdict may come as late as two intervals and the margin after a death, whoever hears the host or does not: what another
receiver heard last was never heard later than the host lived.
"""
import collections
import concurrent.futures
import contextlib
import os
import pathlib
import signal
import socket
import sqlite3
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import aead  # noqa: E402  pylint: disable=wrong-import-position
import protocol  # noqa: E402  pylint: disable=wrong-import-position
from network import Network  # noqa: E402  pylint: disable=wrong-import-position
from record import check_minutes  # noqa: E402  pylint: disable=wrong-import-position
from wiretap import Wiretap, socket_in  # noqa: E402  pylint: disable=wrong-import-position
from test_truth import M, MACHINE, T, reboot, wait_for  # noqa: E402  pylint: disable=wrong-import-position
from wallclock import WallClock  # noqa: E402  pylint: disable=wrong-import-position
from world import AGENT, World, check, equal, need_root, run_tests, wait_until, write_private  # noqa: E402  pylint: disable=wrong-import-position

PORT = 2004
BUSY = 1.5  # how much later a verdict may come on a busy machine
SLACK = 0.5  # of an edge, besides the second that its label is rounded down by
RANK = ("unknown", "down", "admin", "up")
PATIENCE_S = 8  # for the end of a minute, before the files are compared
latencies = []  # from each death to the verdict of each receiver

Span = collections.namedtuple("Span", "state causes begin end")  # edges: (low, high); end None: open


def around(t, before, after):
    """Where the label of an edge may lie that really was between `before` earlier and `after` later than t."""
    return t - before - 1 - SLACK, t + after + SLACK


def died(t):
    """Begin of an outage: the last beat was due within the last interval, the edge lies half an interval after it."""
    return around(t, T / 2, T / 2)


def down(t, end=None, causes=("silent",)):
    return Span("down", causes, died(t), end)


def isolated(begin, end):
    """Nothing was heard in that time. The last beat before is at most T old, the first one after was due at most T/2 before."""
    return Span("unknown", ("receiver_isolated",), around(begin, T / 2, T / 2), around(end, T / 2, T))


class Fleet:
    """Receivers and sites. receivers: {name: place}, where the place may be a site; sites: {name: hosts in it}."""

    def __init__(self, world, receivers, sites, peers=True, tapped=False, more_peers=None, seed=0):
        """more_peers: {name: {title: address}}, besides each other. tapped: what they say to each other passes self.wires."""
        self.world = world
        self.place = receivers
        self.network = Network(world, list(dict.fromkeys([*receivers.values(), *sites])))
        self.receivers, self.agents, self.wires, self.site_of = {}, {}, {}, {}
        self.ahead = {}  # what the wall clock of a receiver shows, besides the right time
        addresses = {name: (self.network.addresses[place], PORT) for name, place in receivers.items()}
        for name, place in receivers.items():
            others = {}
            for other in receivers if peers else ():
                if other == name:
                    continue
                to = addresses[other]
                if tapped:
                    self.wires[name, other] = Wiretap(world, self.network, to, f"{seed} {name} {other}")
                    to = self.wires[name, other].address
                others[other] = {"address": f"{to[0]}:{to[1]}"}
            others.update({title: {"address": address} for title, address in (more_peers or {}).get(name, {}).items()})
            receiver = world.receiver(name, listen=[f"{addresses[name][0]}:{PORT}"], peer=others)
            receiver.prefix = self.network.prefix(place)
            self.receivers[name] = receiver
        for site, count in sites.items():
            for number in range(count):
                self.add(f"{site}-{number}", site)

    def add(self, name, site):
        agent = self.world.agent(name, *[(self.network.addresses[place], PORT) for place in self.place.values()])
        agent.prefix = self.network.prefix(site)
        self.agents[name], self.site_of[name] = agent, site

    def hosts(self, *sites):
        return [name for name, site in self.site_of.items() if not sites or site in sites]

    def __iter__(self):
        return iter(self.receivers.values())

    def start(self):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda receiver: receiver.start(), self))
        self.wait_met()
        for agent in self.agents.values():
            agent.start()
        self.wait_up(*self.agents)
        wait_for(2.5 * T)  # four beats make a rhythm
        self.begin = int(time.time()) + 1

    def wait_met(self, seconds=4):
        """Each has proven itself to the others: that takes two datagrams from each. Sooner than the next ones are due."""
        for receiver in self:
            count = 2 * sum(name in self.receivers for name in receiver.settings["peer"])
            wait_until(lambda r=receiver, c=count: r.count()["peer"] >= c, seconds, f"{receiver.name} has met its peers")

    def states(self, receiver):
        return {host["host"]: host["state"] for host in receiver.try_ask("status")["hosts"]}

    def wait_up(self, *names, receivers=None):
        for receiver in receivers or self:
            wait_until(lambda r=receiver: (s := self.states(r)) and all(s.get(name) == "up" for name in names), 20,
                       lambda r=receiver: f"{r.name}: {names} are up: {self.states(r)}")

    def kill(self, *names):
        """Returns when."""
        for name in names:
            self.agents[name].signal(signal.SIGKILL)
        at = time.time()
        for name in names:
            self.agents[name].process.wait(10)
            self.agents[name].process = None
        return at

    def wait_down(self, at, *names, receivers=None):
        """All of them say so in time: not later than two intervals and the margin after the last beat."""
        left = {(receiver, name) for receiver in receivers or self for name in names}
        while left:
            for receiver in {receiver for receiver, _ in left}:
                states = self.states(receiver)
                for name in [name for r, name in left if r is receiver and states[name] == "down"]:
                    left.remove((receiver, name))
                    latencies.append(time.time() - at)
            late = time.time() - at > 2 * T + M + BUSY
            check(not (left and late), f"dead since {at}, not down in time: {[(r.name, n, r.look(n)) for r, n in left]}")
            time.sleep(0.05)

    # what is recorded

    def lines(self, receiver):
        """All that was ever told, by host: (second, state, cause, when)."""
        told = collections.defaultdict(list)
        ahead = self.ahead.get(receiver.name, 0)
        with contextlib.closing(sqlite3.connect(f"file:{receiver.data}/receiver.db?mode=ro", uri=True)) as db:
            for name, at, state, cause, decided in db.execute("SELECT name, at, state, cause, decided FROM transitions JOIN hosts "
                                                              "ON host = hosts.id ORDER BY transitions.id"):
                told[name].append((at - ahead, state, cause, decided - ahead))
        return told

    def outages(self, receiver):
        """By host."""
        found = {name: [] for name in self.agents}
        ahead = self.ahead.get(receiver.name, 0)
        for outage in receiver.outages(start=time.time() - 86400 + ahead):
            outage["from"] -= ahead
            outage["to"] = outage["to"] and outage["to"] - ahead
            found[outage["host"]].append(outage)
        return found

    def check_spans(self, receiver, wanted, joined=()):
        """wanted: {host: spans}; of hosts that are not named nothing is recorded, and none of them was ever told to be down. Of hosts
        `joined`, spans of one kind that are a second apart are one: what another receiver heard may lie between."""
        def wrong():
            found = self.outages(receiver)
            for name in joined:
                for before, after in list(zip(found[name], found[name][1:])):
                    if before["state"] == after["state"] and after["from"] - before["to"] <= 1:
                        after["from"] = before["from"]
                        found[name].remove(before)
            for name in self.agents:
                spans = wanted.get(name, [])
                fits = len(found[name]) == len(spans) and all(
                    o["state"] == s.state and o["cause"] in s.causes and s.begin[0] <= o["from"] <= s.begin[1] and
                    (o["to"] is None if s.end is None else o["to"] is not None and s.end[0] <= o["to"] <= s.end[1])
                    for o, s in zip(found[name], spans))
                if not fits:
                    told = [(o["state"], o["cause"], o["from"], o["to"]) for o in found[name]]
                    return f"{receiver.name} says of {name}: {told}, wanted {[tuple(s) for s in spans]}; told {self.lines(receiver)[name]}"
            return None
        wait_until(lambda: wrong() is None, 6, wrong)
        for name, lines in self.lines(receiver).items():
            if not any(span.state == "down" for span in wanted.get(name, [])):
                check(all(state != "down" for _, state, *_ in lines), f"{receiver.name} never told that {name} is down: {lines}")

    def paths(self, receiver, name):
        """[begin, end) of the times in which the log says that another receiver heard it; end None: still."""
        kept = []
        for line in self.lines(receiver)[name]:
            while kept and kept[-1][0] >= line[0]:
                kept.pop()
            kept.append(line)
        found = []
        for (at, state, cause, _), (end, *_) in zip(kept, kept[1:] + [(None,)]):
            if (state, cause) != ("up", "path"):
                continue
            if found and found[-1][1] == at:
                found[-1] = (found[-1][0], end)
            else:
                found.append((at, end))
        return found

    def merge(self, always_up, files):
        """Per second up before admin before down before unknown. Those that always lived have 100 %. Each record by itself must
        be what `uptime` counts, and what rrdtool reads for the hosts `files`, as far as whole minutes are written."""
        end = int(time.time()) - 2
        best = {name: [0] * (end - self.begin) for name in self.agents}
        for receiver in self:
            if receiver.process is None:
                continue
            found, ahead = self.outages(receiver), self.ahead.get(receiver.name, 0)
            told = {host["host"]: host["seconds"] for host in receiver.uptime(self.begin + ahead, end + ahead)["hosts"]}
            for name, outages in found.items():
                seconds = [RANK.index("up")] * (end - self.begin)
                for outage in outages:
                    for second in range(max(outage["from"], self.begin), min(outage["to"] or end, end)):
                        seconds[second - self.begin] = RANK.index(outage["state"])
                best[name] = [max(pair) for pair in zip(best[name], seconds)]
                counted = {state: seconds.count(rank) for rank, state in enumerate(RANK)}
                equal({state: told[name][state] for state in RANK}, counted, f"uptime of {name} at {receiver.name}")
            receiver.twobeat("verify")
        for name in always_up:
            equal([second for second in best[name] if RANK[second] != "up"], [], f"merged, {name} was always up")
        if 60 - time.time() % 60 < PATIENCE_S:
            wait_for(62.5 - time.time() % 60)
        for receiver in self:
            if receiver.process is not None and receiver.name not in self.ahead:
                check_minutes(receiver, files, self.begin // 60 * 60)
        return {name: [RANK[second] for second in seconds] for name, seconds in best.items()}

    def stop(self):
        """In order; none has flooded its log: there is a line for each change of each host, and some more."""
        for receiver in self:
            most_lines = 20 + sum(len(lines) for lines in self.lines(receiver).values())
            if receiver.process is not None:
                check(len(receiver.lines()) <= most_lines, f"{receiver.name} wrote {len(receiver.lines())} lines: {receiver.log()[-800:]}")
                receiver.stop()


THREE = {"recv1": "own1", "recv2": "own2", "recv3": "site3"}
TWENTY = {"site1": 7, "site2": 7, "site3": 6}


def test_receiver_cut_off(rng):
    """Behind a switch that carries nothing, then with its own cable pulled: unknown there, up with the others. Who dies meanwhile is
    down with the others in time, and there when contact returns."""
    need_root()
    with World() as world:
        fleet = Fleet(world, THREE, TWENTY)
        fleet.start()
        name = rng.choice(("recv1", "recv2"))
        out, others = fleet.receivers[name], [r for r in fleet if r.name != name]
        victim = rng.choice(fleet.hosts())
        living = [host for host in fleet.agents if host != victim]
        fleet.network.block(fleet.place[name])
        begin = time.time()
        wait_for(rng.uniform(1.5, 4))
        killed = fleet.kill(victim)
        fleet.wait_down(killed, victim, receivers=others)
        wait_until(lambda: set(fleet.states(out).values()) == {"unknown"}, 5, lambda: f"all are unknown: {fleet.states(out)}")
        wait_for(rng.uniform(0, 2))
        fleet.network.block(fleet.place[name], False)
        end = time.time()
        fleet.wait_up(*living)
        fleet.wait_down(end, victim, receivers=[out])
        wait_for(2.2 * T)
        fleet.network.pull(fleet.place[name])
        begin2 = time.time()
        wait_for(rng.uniform(3, 5))
        fleet.network.pull(fleet.place[name], False)
        end2 = time.time()
        fleet.wait_up(*living)
        wait_for(3)
        first, second = isolated(begin, end), isolated(begin2, end2)
        wanted = {host: [first, second] for host in living}
        wanted[victim] = [first, Span("down", ("silent",), first.end, second.begin), second, Span("down", ("silent",), second.end, None)]
        fleet.check_spans(out, wanted, joined=[victim])
        for receiver in others:
            fleet.check_spans(receiver, {victim: [down(killed)]})
        fleet.merge(living, [victim, living[0]])
        fleet.stop()


def test_path_and_deaths(rng):
    """One site is cut off from one receiver only: what happens there is recorded there as if it had been heard. Then hosts die, and a site
    with a receiver in it."""
    need_root()
    with World() as world:
        fleet = Fleet(world, THREE, TWENTY)
        fleet.start()
        recv1, recv2, recv3 = fleet
        dead, gone, boots, quick, *living = rng.sample(fleet.hosts("site1"), 7)
        fleet.network.part("site1", "own1")
        cut = time.time()
        wait_for(rng.uniform(2, 3.5))
        check(all(recv1.look(host)["cause"] == "path" for host in living), f"up by path: {[recv1.look(host) for host in living]}")
        killed = fleet.kill(dead, gone, boots, quick)
        fleet.agents[quick].start()
        fleet.wait_down(killed, dead, gone, boots)
        wait_for(rng.uniform(1, 2))
        started = fleet.agents[gone].start()
        booted = reboot(fleet.agents[boots], 1, [*fleet.network.prefix("site1"), *MACHINE])
        fleet.wait_up(*living, gone, boots, quick)
        wait_for(2 * T)
        fleet.network.part("site1", "own1", False)
        healed = time.time()
        wait_until(lambda: all(recv1.look(host)["cause"] is None for host in [*living, gone, boots, quick]), 5, "heard again")
        killed2 = rng.sample(fleet.hosts("site2"), 2) + [living[0]]
        at2 = fleet.kill(*killed2)
        fleet.wait_down(at2, *killed2)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            ends = [pool.submit(recv3.kill), pool.submit(fleet.kill, *fleet.hosts("site3"))]
        at3 = min(end.result() for end in ends)
        fleet.wait_down(max(end.result() for end in ends), *fleet.hosts("site3"), receivers=(recv1, recv2))
        wait_for(2)
        wanted = {dead: [down(killed)], gone: [down(killed, around(started, 0, T), ("agent_died",))],
                  boots: [down(killed, around(booted, 0, 0.5), ("reboot",))]}
        wanted.update({host: [down(at2)] for host in killed2})
        wanted.update({host: [down(at3)] for host in fleet.hosts("site3")})
        fleet.check_spans(recv1, wanted)
        fleet.check_spans(recv2, wanted)
        for host in living:
            told = fleet.paths(recv1, host)
            low, high = around(cut, T / 2, T / 2)
            check(len(told) == 1 and low <= told[0][0] <= high and healed - T - 1 - SLACK <= told[0][1] <= healed + T + SLACK,
                  f"{host} was up by path from {cut} to {healed}: {told}")
            equal(fleet.paths(recv2, host), [], f"{host} was heard at recv2")
        always = [host for host in fleet.hosts("site1", "site2") if host not in wanted]
        fleet.merge(always, [dead, boots, always[0]])
        fleet.stop()


def test_two_receivers(rng):
    """One of two is cut off from the other and from half of the hosts: what only the other could know is unknown until contact returns."""
    need_root()
    with World() as world:
        fleet = Fleet(world, {"recv1": "own1", "recv2": "own2"}, {"site1": 4, "site2": 4})
        fleet.start()
        recv1, recv2 = fleet
        for place in ("site1", "own2"):
            fleet.network.part("own1", place)
        begin = time.time()
        wait_for(rng.uniform(1.5, 3))
        far, near = rng.choice(fleet.hosts("site1")), rng.choice(fleet.hosts("site2"))
        killed = fleet.kill(far, near)
        living = [host for host in fleet.agents if host not in (far, near)]
        lost = fleet.hosts("site1")
        for receiver, names in ((recv1, [*lost, near]), (recv2, [far, near])):
            wait_until(lambda r=receiver, n=names: all(fleet.states(r)[host] == "unknown" for host in n), 2 * T + M + BUSY,
                       lambda r=receiver: f"{r.name} cannot tell: {fleet.states(r)}")
        wait_for(rng.uniform(1, 3))
        fleet.wait_up(*living, receivers=[recv2])
        for place in ("site1", "own2"):
            fleet.network.part("own1", place, False)
        end = time.time()
        wait_until(lambda: all(fleet.states(r)[host] == ("down" if host in (far, near) else "up") for r in fleet for host in fleet.agents),
                   5 + 2 * T + M + BUSY, lambda: f"settled: {[fleet.states(r) for r in fleet]}")
        wait_for(3)
        fleet.check_spans(recv2, {far: [down(killed)], near: [down(killed)]})
        # Whoever was heard before the other receiver could tell is unknown for that time; of the rest it has told.
        wanted = {near: [down(killed)]}
        for host in lost:
            if host == far:
                continue
            wanted[host] = [isolated(begin, end)] if fleet.outages(recv1)[host] else []
        wanted[far] = [down(killed)]
        fleet.check_spans(recv1, wanted)
        fleet.merge(living, [far, near, living[0]])
        fleet.stop()


def test_bad_peers(rng):
    """A peer that stands still, one whose clock is five hours ahead behind a network that loses a fifth, one with the key of another
    site, one that was never there and one whose name nobody knows."""
    need_root()
    with World() as world:
        more = {"recv1": {"gone": "10.77.0.99:2004", "nowhere": "no-such-host.invalid", "stranger": "10.77.0.4:2004"}}
        fleet = Fleet(world, {"recv1": "own1", "recv2": "own2", "recv3": "own3"}, {"strangers": 0, "site1": 4, "site2": 3},
                      tapped=True, more_peers=more, seed=rng.random())
        recv1, recv2, recv3 = fleet
        clock = WallClock(recv2.folder)
        clock.step(5 * 3600)
        fleet.ahead["recv2"], recv2.environment = 5 * 3600, clock.environment
        site_key = world.folder / "other-site.key"
        write_private(site_key, protocol.KeyFile("site", os.urandom(32)).line() + "\n")
        stranger = world.receiver("stranger", listen=[f"10.77.0.4:{PORT}"], site_key_file=[site_key],
                                  peer={"recv1": {"address": f"10.77.0.1:{PORT}"}})
        stranger.prefix = fleet.network.prefix("strangers")
        stranger.start()
        fleet.start()
        for wire in fleet.wires.values():
            wire.loss = 0.2
        fleet.network.part("site1", "own1")
        recv3.signal(signal.SIGSTOP)
        stopped = time.time()
        wait_for(rng.uniform(2.5, 4))
        dead, boots, *living = rng.sample(fleet.hosts("site1"), 4)
        check(all(recv1.look(host)["cause"] == "path" for host in living), f"up by path: {[recv1.look(host) for host in living]}")
        killed = fleet.kill(dead, boots)
        fleet.wait_down(killed, dead, boots, receivers=(recv1, recv2))
        booted = reboot(fleet.agents[boots], 1, [*fleet.network.prefix("site1"), *MACHINE])
        fleet.wait_up(boots, *living, receivers=(recv1, recv2))
        wait_for(1)
        recv3.signal(signal.SIGCONT)
        went_on = time.time()
        fleet.wait_down(went_on, dead, receivers=[recv3])
        fleet.network.part("site1", "own1", False)
        fleet.wait_up(boots, *living)
        late = rng.choice(fleet.hosts("site2"))
        wait_for(3)
        killed2 = fleet.kill(late)
        fleet.wait_down(killed2, late)
        wait_for(2)
        wanted = {dead: [down(killed)], boots: [down(killed, around(booted, 0, 0.5), ("reboot",))], late: [down(killed2)]}
        fleet.check_spans(recv1, wanted)
        fleet.check_spans(recv2, wanted)
        still = {host: [Span("unknown", ("receiver_overloaded",), around(stopped, T, T), around(went_on, T / 2, T / 2))]
                 for host in fleet.agents if host not in wanted}
        found = fleet.outages(recv3)
        fleet.check_spans(recv3, dict({host: still.get(host) or [Span(o["state"], (o["cause"],), (o["from"],) * 2, o["to"] and (o["to"],) * 2)
                                                                 for o in found[host]] for host in found}))
        check(recv1.count()["bad_seal"] >= 2, f"of the stranger: {recv1.count()}")
        equal(stranger.count()["peer"], 0, "what the stranger understood")
        for wire in fleet.wires.values():
            wire.check_answers()
        fleet.merge(list(still), [dead, boots])
        stranger.stop()
        fleet.stop()


def say_again(fleet, seconds=0.0):
    """All that the receivers said to each other, once more, and again for so long. Returns how many answers came."""
    count, begin = 0, time.time()
    with contextlib.closing(socket_in(fleet.network, "middle")) as s:
        s.settimeout(0.003)
        while True:
            for (name, other), wire in fleet.wires.items():
                target = fleet.network.addresses[fleet.place[other]], PORT
                origin = fleet.network.addresses[fleet.place[name]], PORT
                for datagrams, to in ((wire.forth, target), (wire.answers, origin)):
                    for _, datagram in datagrams[-200:]:
                        s.sendto(datagram, to)
                        with contextlib.suppress(socket.timeout):
                            answer = s.recv(2048)
                            count += 1
                            check(len(answer) <= len(datagram), f"an answer of {len(answer)} bytes to {len(datagram)}")
            if time.time() >= begin + seconds:
                return count


def forge(fleet, world):
    """Datagrams as if from recv2, sealed with whatever the thief of a host key can make of it. Returns their number."""
    count = 0
    with contextlib.closing(socket_in(fleet.network, "middle")) as s:
        for name in ("recv2", "site1-0"):
            stolen = world.key(name).key
            for key in (stolen, protocol.derive_agent_key(stolen), protocol.derive_ack_key(stolen), protocol.derive_host_key(stolen, 1, "recv2"),
                        protocol.blake2b(32, stolen, b"peer\x05recv2recv1")):
                payload = os.urandom(8) + bytes(7) + b"\x01" + bytes(200)
                nonce = os.urandom(24)
                head = protocol.Header(protocol.PEER, 1, "recv2" if count % 2 else name, nonce).encode()
                s.sendto(head + aead.xchacha20_poly1305_seal(key, nonce, head, payload), (fleet.network.addresses["own1"], PORT))
                count += 1
        s.settimeout(0.3)
        with contextlib.suppress(socket.timeout):
            check(False, f"a forged datagram was answered: {s.recv(2048)}")
    return count


def test_said_again(rng):
    """Whatever receivers said to each other is said again, by somebody else, while hosts die, contact is lost and receivers start anew; and
    the key of a host is stolen that is called like a receiver."""
    need_root()
    with World() as world:
        fleet = Fleet(world, {"recv1": "own1", "recv2": "own2"}, {"site1": 3, "site2": 2}, tapped=True)
        fleet.add("recv2", "site2")
        fleet.start()
        recv1, recv2 = fleet
        first, second, living = rng.sample(fleet.hosts("site1"), 3)
        fleet.network.part("site1", "own1")
        wait_for(rng.uniform(3, 4))
        equal(recv1.look(first)["cause"], "path", f"{first} at recv1")
        fleet.network.part("site1", "own1", False)
        wait_until(lambda: recv1.look(first)["cause"] is None, 5, "heard again")
        killed = fleet.kill(first)
        equal(say_again(fleet, 1), 0, "answers to what was said in these sessions")
        fleet.wait_down(killed, first)

        for wire in fleet.wires.values():
            wire.loss = 1
        fleet.network.part("site1", "own1")
        lost = [second, living]
        wait_until(lambda: all(recv1.state(host) == "unknown" for host in lost), 5, lambda: f"cut off: {fleet.states(recv1)}")
        say_again(fleet)
        wait_for(2 * T + M)
        check(all(recv1.state(host) == "unknown" for host in lost), f"what is said again is no contact: {fleet.states(recv1)}")
        fleet.network.part("site1", "own1", False)
        for wire in fleet.wires.values():
            wire.loss = 0
        fleet.wait_up(*lost)

        for receiver in fleet:
            receiver.kill()
            receiver.start()
            check(say_again(fleet) > 0, "an older session is challenged, no more")
        fleet.wait_up(*lost)
        fleet.wait_met(8)
        before = recv1.count()["bad_seal"]
        count = forge(fleet, world)
        wait_until(lambda: recv1.count()["bad_seal"] - before == count, 5, "forged datagrams are counted as such")
        fleet.network.part("site1", "own1")
        wait_until(lambda: recv1.look(living)["cause"] == "path", 5, lambda: f"they still understand each other: {recv1.look(living)}")
        say_again(fleet)
        killed2 = fleet.kill(second)
        fleet.wait_down(killed2, second)
        fleet.network.part("site1", "own1", False)
        wait_for(2)
        for receiver in fleet:
            lines = fleet.lines(receiver)
            for host, at in ((first, killed), (second, killed2)):
                # It was off meanwhile, and does not know of that time.
                outages = fleet.outages(receiver)[host]
                while outages and outages[0]["state"] == "unknown":
                    outages.pop(0)
                low, high = died(at)
                check(outages and low <= outages[0]["from"] <= high and outages[-1]["to"] is None and outages[-1]["state"] == "down" and
                      all(a["to"] == b["from"] for a, b in zip(outages, outages[1:])), f"{receiver.name}: {host} died at {at}: {outages}")
            for host in fleet.agents:
                check(host in (first, second) or all(state != "down" for _, state, *_ in lines[host]), f"{host} never was down: {lines[host]}")
        for wire in fleet.wires.values():
            wire.check_answers()
        fleet.merge([host for host in fleet.agents if host not in (first, second)], [first])
        fleet.stop()


def test_one_direction(rng):
    """What one receiver says does not reach another, which it hears. A third one knows."""
    need_root()
    with World() as world:
        fleet = Fleet(world, {"recv1": "own1", "recv2": "own2", "recv3": "own3"}, {"site1": 3, "site2": 3})
        fleet.start()
        recv1 = fleet.receivers["recv1"]
        fleet.network.lose("own1", "own2")
        fleet.network.part("site1", "own1")
        wait_for(rng.uniform(1, 3))
        near, far = rng.choice(fleet.hosts("site2")), rng.choice(fleet.hosts("site1"))
        killed = fleet.kill(near, far)
        fleet.wait_down(killed, near, far)
        living = [host for host in fleet.agents if host not in (near, far)]
        fleet.wait_up(*living)
        check(all(recv1.look(host)["cause"] == "path" for host in fleet.hosts("site1") if host != far), "up by path")
        fleet.network.part("site1", "own1", False)
        wait_for(3)
        for receiver in fleet:
            fleet.check_spans(receiver, {near: [down(killed)], far: [down(killed)]})
        fleet.merge(living, [living[0]])
        fleet.stop()


def test_one_direction_of_two(rng):
    """One of two no longer hears the other, which goes on as if alone. Itself it cannot tell for a minute, or until that is over."""
    need_root()
    with World() as world:
        fleet = Fleet(world, {"recv1": "own1", "recv2": "own2"}, {"site1": 2, "site2": 2})
        fleet.start()
        recv1, recv2 = fleet
        fleet.network.lose("own1", "own2")
        wait_for(rng.uniform(21, 25))  # a heartbeat, and three more
        first, second, *living = rng.sample(fleet.hosts(), 4)
        killed = fleet.kill(first)
        fleet.wait_down(killed, first, receivers=[recv1])
        wait_until(lambda: recv2.state(first) == "unknown", 2, lambda: f"recv2 cannot tell: {recv2.look(first)}")
        fleet.network.lose("own1", "own2", False)
        wait_until(lambda: recv2.state(first) == "down", 5 + 2 * T + M + BUSY, lambda: f"recv2 can tell: {recv2.look(first)}")
        killed2 = fleet.kill(second)
        fleet.wait_down(killed2, second)
        wait_for(2)
        for receiver in fleet:
            fleet.check_spans(receiver, {first: [down(killed)], second: [down(killed2)]})
        fleet.merge(living, [living[0]])
        fleet.stop()


def test_alone(_):
    """One or two hosts, and no peer, or one that was never there: who is silent is down."""
    need_root()
    with World() as world:
        fleet = Fleet(world, {"recv1": "own1", "recv2": "own2"}, {"site1": 2}, peers=False, more_peers={"recv2": {"gone": "10.77.0.99"}})
        fleet.start()
        one, two = fleet.hosts()
        killed = fleet.kill(one)
        fleet.wait_down(killed, one)
        killed2 = fleet.kill(two)
        fleet.wait_down(killed2, two)
        wait_for(2)
        for receiver in fleet:
            fleet.check_spans(receiver, {one: [down(killed)], two: [down(killed2)]})
        fleet.merge([], [one])
        fleet.stop()


def print_latencies():
    if latencies:
        latencies.sort()
        print(f"from death to verdict, {len(latencies)} verdicts: median {latencies[len(latencies) // 2]:.2f} s, longest {latencies[-1]:.2f} s; "
              f"two intervals and the margin: {2 * T + M} s", flush=True)


if __name__ == "__main__":
    check(AGENT.exists(), f"{AGENT} is not built")
    status = run_tests("peers", globals(), at_once=8)
    print_latencies()
    sys.exit(status)
