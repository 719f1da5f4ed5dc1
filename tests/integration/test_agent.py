#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_agent.py - a real agent before receivers that are slow, silent, absent, or made here in Python to look at every datagram."""
import contextlib
import math
import os
import pathlib
import re
import signal
import socket
import stat
import sys
import threading
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import protocol  # noqa: E402  pylint: disable=wrong-import-position
from protocol import BYE, CHALLENGE, Ack, Beat, Bye, Challenge, seal  # noqa: E402  pylint: disable=wrong-import-position
from world import AGENT, NOBODY, Skip, World, check, equal, need_root, run_tests, wait_until, write_config  # noqa: E402  pylint: disable=wrong-import-position

TOLERANCE_S = 0.06
T4, R4 = 4.0, 0.2  # an interval, and R of PROTOCOL.md section 5


class Heard:
    """A datagram that arrived."""

    def __init__(self, at, datagram, source, header, payload):
        self.at, self.datagram, self.source, self.header = at, datagram, source, header
        self.is_bye = header.type == BYE
        self.message = (Bye if self.is_bye else Beat).decode(payload)

    def __getattr__(self, name):
        return getattr(self.message, name)


class Listener:
    """Opens what one host sends and keeps it; answers what `answer(heard)` returns: None, an Ack or a Challenge."""

    def __init__(self, world, name, answer=lambda heard: None, host="127.0.0.1"):
        self.key, self.answer = world.key(name), answer
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.settimeout(0.2)
        self.address = self.socket.getsockname()[:2]
        self.heard, self.bad = [], []
        self.closing = False
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closing = True
        self.thread.join(5)
        self.socket.close()
        equal(self.bad, [], "datagrams that do not open")

    def _listen(self):
        while not self.closing:
            try:
                datagram, source = self.socket.recvfrom(4096)
            except OSError:
                continue
            at = time.monotonic()
            try:
                heard = Heard(at, datagram, source, *protocol.open_datagram(datagram, self.key.key))
            except protocol.ProtocolError as why:
                self.bad.append((str(why), datagram.hex()))
                continue
            answer = self.answer(heard)
            if answer:
                self.send(answer, source)
            self.heard.append(heard)

    def send(self, message, to):
        with contextlib.suppress(OSError):
            self.socket.sendto(seal(message.TYPE, self.key.generation, self.key.name, message.encode(), self.key.key),
                               to)

    def beats(self, number=None):
        return [h for h in self.heard if not h.is_bye and number in (None, h.number)]

    def byes(self):
        return [h for h in self.heard if h.is_bye]

    def wait(self, condition, seconds, what):
        return wait_until(condition, seconds, lambda: f"{what}; heard {[(round(h.at, 2), h.header.type, h.counter) for h in self.heard]}")


def ack_all(heard):
    """As a receiver that has stored everything so far: nothing is sent to it again later."""
    return Ack(heard.session, heard.counter, 0 if heard.is_bye else heard.number)


def ack_beats(heard):
    return None if heard.is_bye else ack_all(heard)


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def complaints(agent, text):
    return [line for line in agent.lines() if text in line]


def test_name_does_not_resolve(_):
    with World() as world, Listener(world, "host", ack_all) as good:
        agent = world.agent("host", ("no-such-name.invalid", 2004), good)
        agent.start()
        wait_until(lambda: complaints(agent, "cannot look up receiver no-such-name.invalid"), 40,
                   lambda: f"the complaint; {agent.log()}")
        count = len(good.beats())
        good.wait(lambda: len(good.beats()) >= max(count, 1) + 4, 10, "beats to the other receiver go on")
        equal(len(complaints(agent, "no-such-name.invalid: ")), 1, f"lines about it: {agent.log()}")
        agent.check_running()
        agent.stop(seconds=5)


def test_only_an_unknown_name(_):
    with World() as world:
        agent = world.agent("host", ("no-such-name.invalid", 2004))
        agent.start()
        wait_until(lambda: complaints(agent, "cannot look up"), 40, lambda: f"the complaint; {agent.log()}")
        agent.check_running()
        agent.stop(seconds=5)


def test_receiver_comes_later(_):
    with World() as world:
        address = ("127.0.0.1", free_port())
        agent = world.agent("host", address)
        started = agent.start()
        wait_until(lambda: complaints(agent, "has not answered"), 10, lambda: f"the complaint; {agent.log()}")
        wait_until(lambda: time.time() > started + 5, 10, "some beats")
        equal(len(complaints(agent, "127.0.0.1")), 2, f"the line of the start and one complaint: {agent.log()}")
        receiver = world.receiver(listen=["%s:%d" % address]).start()
        receiver.wait_state("host", "up", 5)
        wait_until(lambda: complaints(agent, "answers"), 5, lambda: f"the end of the trouble; {agent.log()}")
        agent.stop()


def test_one_of_two_is_dead(_):
    with World() as world, Listener(world, "host") as silent:
        receiver = world.receiver().start()
        agent = world.agent("host", ("127.0.0.1", free_port()), receiver, silent)
        started = agent.start()
        receiver.wait_state("host", "up", 5)
        wait_until(lambda: time.time() > started + 6, 10, "some beats")
        host = receiver.look("host")
        check(0.95 < host["interval"] < 1.05 and host["margin"] <= 0.5 and host["loss"] == 0,
              f"the rhythm at the one that lives: {host}")
        equal(receiver.count()["known"], 0, "beats that were sent twice to the one that acks")
        check(len(silent.beats()) > 10, "the silent one is sent everything again")
        before = time.monotonic()
        agent.stop()
        check(1.5 < time.monotonic() - before < 3.5, f"stopped after {time.monotonic() - before:.1f} s, two of three do not ack")
        wait_until(lambda: receiver.count()["byes"] == 1, 5, "one goodbye to the one that acks")


def test_ipv6(_):
    if not pathlib.Path("/proc/net/if_inet6").exists() or "lo" not in pathlib.Path("/proc/net/if_inet6").read_text():
        raise Skip("no ::1 here")
    with World() as world:
        receiver = world.receiver(listen=["[::1]:0"]).start()
        agent = world.agent("host", receiver)
        agent.start()
        receiver.wait_state("host", "up", 5)
        agent.stop()
        wait_until(lambda: receiver.count()["byes"] == 1, 5, "the goodbye")


def test_bye(_):
    with World() as world:
        with Listener(world, "host", ack_beats) as listener:
            agent = world.agent("host", listener)
            agent.start()
            listener.wait(lambda: len(listener.beats()) >= 2, 10, "two beats")
            before = time.monotonic()
            agent.stop()
            took = time.monotonic() - before
            byes = listener.byes()
            check(1.9 < took < 2.6, f"stopped after {took:.2f} s without an ack")
            check(9 <= len(byes) <= 10, f"{len(byes)} goodbyes in 2 s")
            for at, bye in enumerate(byes):
                wanted = at * R4
                check(abs(bye.at - byes[0].at - wanted) < TOLERANCE_S,
                      f"goodbye {at} at {bye.at - byes[0].at:.3f}, wanted {wanted:.3f}")
                check(abs(bye.age_ms / 1000 - wanted) < TOLERANCE_S, f"goodbye {at} says age {bye.age_ms}")
            counters = [h.counter for h in listener.heard]
            equal(counters, list(range(1, len(counters) + 1)), "counters")
            equal({(b.reason, b.agent_start, b.session) for b in byes},
                  {(1, listener.heard[0].agent_start, listener.heard[0].session)}, "what they say")
            check(not any(h.at > byes[0].at for h in listener.beats()), "no beat after a goodbye")
        with Listener(world, "other", ack_all) as listener:
            agent = world.agent("other", listener)
            agent.start()
            listener.wait(lambda: len(listener.beats()) >= 2, 10, "two beats")
            before = time.monotonic()
            agent.stop()
            check(time.monotonic() - before < 1, "stopped as soon as the goodbye is acked")
            equal(len(listener.byes()), 1, "goodbyes when acked")


def test_challenges(_):
    values = {}

    def challenge(heard):
        """Twice the same value for a beat, then another, then an ack; a bye is challenged once as well."""
        seen = values.setdefault("bye" if heard.is_bye else heard.number, [])
        seen.append(heard)
        kind = len(seen)
        value = bytes([1 if kind < 3 else 2]) * 16 if not heard.is_bye else b"\x09" * 16
        return Challenge(heard.session, heard.counter, value) if kind < (2 if heard.is_bye else 4) else ack_all(heard)

    with World() as world, Listener(world, "host", challenge) as listener:
        agent = world.agent("host", listener, interval="4s")
        agent.start()
        listener.wait(lambda: len(listener.beats(2)) >= 1, 10, "two beats")
        first = listener.beats(1)
        # Transmission 1 is answered by value 1: sent again at once. 2 is answered by the same value: nothing but the schedule. 3 by value 2.
        equal([h.echo[0] for h in first[:4]], [0, 1, 1, 2], "echoes")
        check(first[1].at - first[0].at < TOLERANCE_S, "a challenge is answered at once")
        check(abs(first[2].at - first[0].at - R4) < TOLERANCE_S,
              f"the same value is answered once: sent again after {first[2].at - first[0].at:.3f} s")
        check(first[3].at - first[2].at < TOLERANCE_S, "another value is answered at once")
        equal(len(first), 4, "transmissions of the first beat, the last of which is acked")
        equal([h.counter for h in first], [1, 2, 3, 4], "counters")
        equal(len({(h.session, h.number, h.uptime_ms, h.run_ms, h.agent_start, str(h.metrics)) for h in first}), 1,
              "what does not change")
        for h in first:
            check(abs(h.age_ms / 1000 - (h.at - first[0].at)) < TOLERANCE_S,
                  f"age {h.age_ms} at {h.at - first[0].at:.3f}")
        equal(listener.beats(2)[0].echo[0], 2, "the latest value goes into the next beat")
        # What is not for this session, or for a counter that was not sent, or not sealed for this host, does nothing.
        last = listener.wait(lambda: len(listener.beats(2)) >= 4 and listener.beats(2)[-1], 5, "four transmissions")
        count = len(listener.heard)
        for message in (Challenge(last.session + 1, last.counter, b"x" * 16),
                        Challenge(last.session, last.counter + 1, b"x" * 16),
                        Challenge(last.session, 0, b"x" * 16)):
            listener.send(message, last.source)
        forged = seal(CHALLENGE, 1, "host", Challenge(last.session, last.counter, b"x" * 16).encode(), bytes(32))
        other = seal(CHALLENGE, 1, "host2", Challenge(last.session, last.counter, b"x" * 16).encode(),
                     world.key("host2").key)
        good = seal(CHALLENGE, 1, "host", Challenge(last.session, last.counter, b"x" * 16).encode(), listener.key.key)
        for datagram in (forged, other, good[:-1], good + b"x", b"", last.datagram, b"\xff" * 2000):
            listener.socket.sendto(datagram, last.source)
        listener.wait(lambda: listener.beats(3), 10, "the next beat")
        equal((listener.heard[count].number, listener.heard[count].echo[0]), (3, 2),
              "what came next after what is not for it, and its echo")
        listener.wait(lambda: len(listener.beats(3)) >= 4, 10, "the ack of the third beat")
        agent.stop()
        byes = listener.byes()
        equal([b.echo[0] for b in byes], [2, 9], "a challenged goodbye is sent again with the echo")


def test_run_state(_):
    boot_id = uuid.UUID(pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()).bytes
    with World() as world, Listener(world, "host", ack_all) as listener:
        agent = world.agent("host", listener)
        told = []
        for end in ("kill", "stop", "stop", "kill"):
            begin = len(listener.heard)
            agent.start()
            listener.wait(lambda b=begin: len(listener.heard) >= b + 2, 10, "two beats")
            first, second = listener.heard[begin:begin + 2]
            told.append(first.previous_end)
            equal((first.number, first.counter, second.number, second.previous_end), (1, 1, 2, first.previous_end),
                  "numbers of a new run")
            equal(first.boot_id, boot_id, "boot id")
            check(abs(first.uptime_ms / 1000 - time.clock_gettime(time.CLOCK_BOOTTIME)) < 5,
                  f"uptime {first.uptime_ms}")
            check(0.9 < (second.uptime_ms - first.uptime_ms) / 1000 < 1.1
                  and second.run_ms - first.run_ms == second.uptime_ms - first.uptime_ms,
                  "clocks of the second beat")
            equal((first.interval_ms, first.flags, first.oldest_kept <= 1), (1000, 0, True),
                  "interval, flags, oldest kept")
            values = dict(zip(protocol.METRICS, first.metrics))
            check(values["mem_total"] > 2**24 and values["uptime"] > 0 and not math.isnan(values["load1"]),
                  f"metrics {values}")
            getattr(agent, end)()
        equal(told, [0, 3, 1, 1], "how the run before ended, as told: not known, died, stopped, stopped")
        agent.start()
        listener.wait(lambda: listener.heard[-1].number == 1 and listener.heard[-1].previous_end == 3
                      and not listener.heard[-1].is_bye, 10, "died again")
        equal(len({h.agent_start for h in listener.heard}), 5, "agent starts")
        equal(len({h.session for h in listener.heard}), 5, "sessions")
        agent.stop()


def check_offsets(beats, wanted, what):
    got = [round(b.at - beats[0].at, 3) for b in beats]
    check(len(got) == len(wanted) and all(abs(g - w) < TOLERANCE_S for g, w in zip(got, wanted)),
          f"{what}: sent at {got}, wanted {wanted}")
    for beat in beats:
        check(abs(beat.age_ms / 1000 - (beat.at - beats[0].at)) < TOLERANCE_S,
              f"{what}: age {beat.age_ms} at {beat.at - beats[0].at:.3f}")
    equal(len({(b.uptime_ms, b.run_ms, b.number, b.agent_start, str(b.metrics)) for b in beats}), 1,
          f"{what}: contents")


def test_retransmission(_):
    """R, 3R, 7R while at most 0.55 T; after a beat without any ack every R/2 up to T/8 first; a new session after two."""
    with World() as world, Listener(world, "host") as listener:
        agent = world.agent("host", listener, interval="4s")
        agent.start()
        listener.wait(lambda: listener.beats(4), 20, "four beats")
        plain = [0, R4, 3 * R4, 7 * R4]
        burst = sorted({round(k * R4 / 2, 3) for k in range(int(T4 / 8 / (R4 / 2)) + 1)} | set(plain))
        check_offsets(listener.beats(1), plain, "the first beat")
        check_offsets(listener.beats(2), burst, "a beat after one without any ack")
        check_offsets(listener.beats(3), burst, "the third beat")
        for n in (2, 3, 4):
            check(abs(listener.beats(n)[0].at - listener.beats(1)[0].at - (n - 1) * T4) < TOLERANCE_S,
                  f"beat {n} on its instant")
        sessions = [listener.beats(n)[0].session for n in (1, 2, 3, 4)]
        check(sessions[0] == sessions[1] != sessions[2] == sessions[3],
              f"a new session after two beats without an answer: {sessions}")
        for session in (sessions[0], sessions[2]):
            counters = [h.counter for h in listener.beats() if h.session == session]
            equal(counters, list(range(1, len(counters) + 1)), "counters of a session")
        # An ack ends it, and the next beat is sent once.
        listener.answer = ack_all
        listener.wait(lambda: len(listener.beats(6)) == 1, 20, "two beats more")
        equal(len(listener.beats(5)), 1, "transmissions of a beat that is acked at once")
        # A late ack, for the third transmission.
        listener.answer = lambda heard: ack_all(heard) if len(listener.beats(heard.number)) == 2 else None
        listener.wait(lambda: len(listener.beats(8)) >= 1, 20, "two beats more")
        check_offsets(listener.beats(7), plain[:3], "a beat whose third transmission is acked")
        agent.kill()


def test_size(_):
    with World() as world, Listener(world, "n" * 64, ack_all) as listener:
        agent = world.agent("n" * 64, listener)
        agent.start()
        listener.wait(lambda: len(listener.beats()) >= 3, 10, "beats")
        longest = max(len(h.datagram) for h in listener.heard)
        check(longest < 512, f"{longest} bytes")
        agent.stop()


def udp_sockets():
    """inode: whether it is connected."""
    found = {}
    for name in ("udp", "udp6"):
        for line in pathlib.Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            words = line.split()
            found[words[9]] = not words[2].endswith(":0000")
    return found


def test_no_open_port(_):
    with World() as world, Listener(world, "host", ack_all) as one, Listener(world, "host", ack_all) as two:
        agent = world.agent("host", one, two)
        agent.start()
        for listener in (one, two):
            listener.wait(lambda at=listener: len(at.beats()) >= 2, 10, "beats")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.connect(listener.heard[0].source)
                stranger.settimeout(5)
                stranger.send(listener.heard[0].datagram)
                refused = False
                with contextlib.suppress(socket.timeout):
                    try:
                        stranger.recv(100)
                    except ConnectionRefusedError:
                        refused = True
                check(refused, "a stranger's datagram finds nobody: the kernel refuses it")
        check(one.heard[0].session != two.heard[0].session, "a session for each receiver")
        equal(one.heard[0].agent_start, two.heard[0].agent_start, "one agent start")
        if os.geteuid() == 0:  # others cannot see the handles of a process without core dumps
            inodes = [m[1] for fd in os.listdir(f"/proc/{agent.pid}/fd")
                      if (m := re.match(r"socket:\[(\d+)\]", os.readlink(f"/proc/{agent.pid}/fd/{fd}")))]
            udp = udp_sockets()
            tcp = [line.split()[9] for name in ("tcp", "tcp6")
                   for line in pathlib.Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
            equal(sorted(udp[i] for i in inodes if i in udp), [True, True], "UDP sockets, connected")
            equal([i for i in inodes if i in tcp], [], "TCP sockets")
        agent.stop()


def test_reload(_):
    with World() as world, Listener(world, "host", ack_all) as one, Listener(world, "host", ack_all) as two:
        agent = world.agent("host", one, interval="4s")
        agent.start()
        one.wait(lambda: len(one.beats()) >= 1, 10, "a beat")
        wait_until(lambda: complaints(agent, "answers"), 5, "the ack")
        write_config(agent.config, dict(agent.settings, interval="1s",
                                        receivers=["%s:%d" % one.address, "%s:%d" % two.address]))
        agent.signal(signal.SIGHUP)
        two.wait(lambda: len(two.beats()) >= 3, 10, "beats to the new receiver")
        one.wait(lambda: len(one.beats()) >= 4, 10, "beats to the old receiver")
        sessions = [b.session for b in one.beats()]
        check(sessions[0] != sessions[1] and len(set(sessions[1:])) == 1,
              f"a new session with a new interval: {sessions}")
        equal([b.number for b in one.beats()][:4], [1, 2, 3, 4], "numbers run on")
        equal({b.interval_ms for b in one.beats()[1:]}, {1000}, "interval told")
        write_config(agent.config, dict(agent.settings, interval="1 fortnight"))
        agent.signal(signal.SIGHUP)
        wait_until(lambda: complaints(agent, "fortnight"), 5, lambda: f"the complaint; {agent.log()}")
        count = len(two.beats())
        two.wait(lambda: len(two.beats()) >= count + 2, 10, "beats go on as before")
        agent.stop()


def ids(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return {name: value.split() for name, value in re.findall(r"^(\w+):[ \t]*(.*)$", text, re.M)}


def test_state_dir_that_cannot_be_written(_):
    with World() as world, Listener(world, "host", ack_all) as listener:
        agent = world.agent("host", listener)
        agent.state_dir.chmod(0o500)
        agent.start()
        listener.wait(lambda: len(listener.beats()) >= 2, 10, "beats")
        equal(len(complaints(agent, "state_dir")), 1, f"one warning: {agent.log()}")
        equal(listener.heard[0].previous_end, 0, "previous end")
        agent.stop()
        agent.state_dir.chmod(0o700)


def test_drops_root(_):
    need_root()
    with World() as world:
        # A directory of root's is left as it is, unless there is nothing in it.
        for name, uid, gid, holds in (("owned", 12345, 23456, ""), ("group", 12345, 0, ""), ("roots", 0, 0, "something"),
                                      ("empty", 0, 0, "")):
            with Listener(world, name, ack_all) as listener:
                agent = world.agent(name, listener)
                if holds:
                    (agent.state_dir / holds).touch()
                os.chown(agent.state_dir, uid, gid)
                for path in (agent.config, agent.settings["key_file"]):
                    os.chown(path, 0, 0)  # read before root is dropped
                agent.start()
                listener.wait(lambda at=listener: len(at.beats()) >= 2, 10, "beats")
                status = ids(agent.pid)
                equal(status["Uid"], [str(uid or NOBODY.pw_uid)] * 4,
                      f"user of the agent with a state_dir of {uid}:{gid}")
                equal(status["Gid"], [str(gid or NOBODY.pw_gid)] * 4,
                      f"group of the agent with a state_dir of {uid}:{gid}")
                equal((status["Groups"], set("".join(status["CapEff"] + status["CapPrm"])), status["NoNewPrivs"]),
                      ([], {"0"}, ["1"]), "rights")
                run = agent.state_dir / "run"
                equal(run.exists(), not holds, f"the run file in {name}")
                if not holds:
                    equal((run.stat().st_uid, stat.S_IMODE(run.stat().st_mode) & 0o022), (uid or NOBODY.pw_uid, 0), "its owner")
                agent.stop()


if __name__ == "__main__":
    check(AGENT.exists(), f"{AGENT} is not built")
    sys.exit(run_tests("agent", globals(), at_once=5))
