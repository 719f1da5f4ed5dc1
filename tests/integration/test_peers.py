#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_peers.py - several receivers that ask each other, in a network whose cables are cut, held against what was done to it.

Real programs in network name spaces: receivers, sites with agents at 1 s, and wires where datagrams are to be lost or kept. What the
script did when is the truth; every span of every record is compared with it, and the records are merged, best state first. A
verdict may come as late as two intervals and the margin after a death, whoever hears the host or does not: what another
receiver heard last was never heard later than the host lived.
"""
import concurrent.futures
import contextlib
import os
import pathlib
import signal
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import aead  # noqa: E402  pylint: disable=wrong-import-position
import protocol  # noqa: E402  pylint: disable=wrong-import-position
from sites import BUSY, M, PORT, SLACK, T, Fleet, Span, around, died, down, isolated, print_latencies  # noqa: E402  pylint: disable=wrong-import-position
from test_truth import MACHINE, reboot  # noqa: E402  pylint: disable=wrong-import-position
from wallclock import WallClock  # noqa: E402  pylint: disable=wrong-import-position
from wiretap import socket_in  # noqa: E402  pylint: disable=wrong-import-position
from world import AGENT, World, check, equal, need_mount_namespace, need_root, run_tests, wait_for, wait_until, write_private  # noqa: E402  pylint: disable=wrong-import-position

ARP_S = 3  # for so long the kernel keeps datagrams for an address that does not answer
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
        first, second = isolated(begin, end, ARP_S), isolated(begin2, end2, ARP_S)
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
    need_mount_namespace()
    with World() as world:
        fleet = Fleet(world, THREE, TWENTY)
        fleet.start()
        recv1, recv2, recv3 = fleet
        dead, gone, boots, quick, polite, *living = rng.sample(fleet.hosts("site1"), 7)
        fleet.network.part("site1", "own1")
        cut = time.time()
        wait_for(rng.uniform(2, 3.5))
        check(all(recv1.look(host)["cause"] == "path" for host in living), f"up by path: {[recv1.look(host) for host in living]}")
        killed = fleet.kill(dead, gone, boots, quick)
        fleet.agents[quick].start()
        left = fleet.agents[polite].stop()
        fleet.wait_down(killed, dead, gone, boots)
        wait_for(rng.uniform(1, 2))
        started = fleet.agents[gone].start()
        started2 = fleet.agents[polite].start()
        booted = reboot(fleet.agents[boots], 1, [*fleet.network.prefix("site1"), *MACHINE])
        fleet.wait_up(*living, gone, boots, quick, polite)
        wait_for(2 * T)
        fleet.network.part("site1", "own1", False)
        healed = time.time()
        wait_until(lambda: all(recv1.look(host)["cause"] is None for host in [*living, gone, boots, quick, polite]), 5, "heard again")
        killed2 = rng.sample(fleet.hosts("site2"), 2) + [living[0]]
        at2 = fleet.kill(*killed2)
        fleet.wait_down(at2, *killed2)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            ends = [pool.submit(recv3.kill), pool.submit(fleet.kill, *fleet.hosts("site3"))]
        at3 = min(end.result() for end in ends)
        fleet.wait_down(max(end.result() for end in ends), *fleet.hosts("site3"), receivers=(recv1, recv2))
        wait_for(2)
        wanted = {dead: [down(killed)], gone: [down(killed, around(started, 0, T), ("agent_died",))],
                  boots: [down(killed, around(booted, 0, 0.5), ("reboot",))],
                  polite: [Span("unknown", ("agent_stopped",), died(left), around(started2, 0, T))]}
        wanted.update({host: [down(at2)] for host in killed2})
        wanted.update({host: [down(at3)] for host in fleet.hosts("site3")})
        fleet.check_spans(recv2, wanted)
        # Of a goodbye recv1 learns when the agent is back; and of a boot what the first heartbeat told, which may have been delayed.
        fleet.check_spans(recv1, dict(wanted, **{boots: [down(killed, around(booted, 0, 1.5), ("reboot",))]}), corrected=[polite])
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
    need_mount_namespace()
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
        # For a host that is down recv2 is asked every 5 s; question and answer come through seldomer than two times of three.
        fleet.wait_up(boots, *living, receivers=(recv1, recv2), seconds=50)
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
        fleet.check_spans(recv2, wanted)
        fleet.check_spans(recv1, dict(wanted, **{boots: [down(killed, around(booted, 0, 1.5), ("reboot",))]}))  # the first heartbeat told
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
    """All that the receivers said to each other, once more, and again for so long. Returns how many answers came. What is of one length
    is sent from one socket, so that no answer that comes there may be longer."""
    count, begin, sockets = 0, time.time(), {}
    with contextlib.ExitStack() as stack:
        while True:
            for (name, other), wire in fleet.wires.items():
                target = fleet.network.addresses[fleet.place[other]], PORT
                origin = fleet.network.addresses[fleet.place[name]], PORT
                for datagrams, to in ((wire.forth, target), (wire.answers, origin)):
                    for _, datagram in datagrams[-200:]:
                        if len(datagram) not in sockets:
                            sockets[len(datagram)] = stack.enter_context(contextlib.closing(socket_in(fleet.network, "middle")))
                            sockets[len(datagram)].settimeout(0.003)
                        sockets[len(datagram)].sendto(datagram, to)
                        with contextlib.suppress(socket.timeout):
                            answer = sockets[len(datagram)].recv(2048)
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


def one_direction_of_two(rng):
    """One of two no longer hears the other, which goes on as if alone. Itself it cannot tell for a minute, or until that is over. Then it is
    stopped for good: who is left is alone at once. Too long for the ordinary run."""
    need_root()
    with World() as world:
        fleet = Fleet(world, {"recv1": "own1", "recv2": "own2"}, {"site1": 2, "site2": 2})
        fleet.start()
        recv1, recv2 = fleet
        fleet.network.lose("own1", "own2")
        wait_for(rng.uniform(27, 29))  # a heartbeat, three more, and an answer
        first, second, third, *living = rng.sample(fleet.hosts(), 4)
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
        fleet.merge([third, *living], [third])
        recv2.stop()
        killed3 = fleet.kill(third)
        fleet.wait_down(killed3, third, receivers=[recv1])
        wait_for(1)
        fleet.check_spans(recv1, {first: [down(killed)], second: [down(killed2)], third: [down(killed3)]})
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


if __name__ == "__main__":
    check(AGENT.exists(), f"{AGENT} is not built")
    status = run_tests("peers", globals(), at_once=8)
    print_latencies()
    sys.exit(status)
