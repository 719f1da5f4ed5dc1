#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_kept.py - a real agent and real receivers that miss each other for a while: every heartbeat is safe in the end.

A relay between them keeps what passes, and opens it with the key of the host. A beat counts as safe if an ack said so: its
own "oldest kept" through `safe`.
"""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import protocol  # noqa: E402  pylint: disable=wrong-import-position
from world import Proxy, World, check, equal, run_tests, wait_until, write_config  # noqa: E402  pylint: disable=wrong-import-position

PACE_S = 0.2  # P of PROTOCOL.md section 5, for intervals of 1 to 12 s
EARLY_S = 0.05  # the relay sees a datagram later than it was sent, now more, now less


class Relay(Proxy):
    """Can be cut; tells what passed."""

    def __init__(self, receiver, key):
        self.cut, self.key, self.beats, self.acks, self.at = False, key, {}, [], []
        super().__init__(receiver)

    def _forth(self):
        while not self.closing:
            try:
                datagram, self.agent = self.front.recvfrom(2048)
            except OSError:
                continue
            header, payload = protocol.open_datagram(datagram, self.key)
            if header.type == protocol.BEAT:
                beat = protocol.Beat.decode(payload)
                self.beats[beat.session, beat.counter] = beat
                self.at.append((time.monotonic(), beat))
            if not self.cut:
                self.back.sendto(datagram, self.target)

    def _back(self):
        while not self.closing:
            try:
                datagram = self.back.recv(2048)
            except OSError:
                continue
            if self.cut:
                continue
            header, payload = protocol.open_datagram(datagram, self.key)
            if header.type == protocol.ACK:
                self.acks.append(protocol.Ack.decode(payload))
            self.front.sendto(datagram, self.agent)

    def newest(self):
        return max((beat.number for _, beat in list(self.at)), default=0)

    def acked(self, begin=0):
        """Numbers of the beats acked, from an index of self.acks on."""
        return {self.beats[ack.session, ack.counter].number for ack in list(self.acks)[begin:]
                if (ack.session, ack.counter) in self.beats}

    def safe(self):
        found = set()
        for ack in list(self.acks):
            beat = self.beats.get((ack.session, ack.counter))
            if beat:
                found.update(range(beat.oldest_kept, ack.safe + 1))
        return found

    def wait_safe(self, number, seconds, first=1):
        """Until all up to a number are safe."""
        wait_until(lambda: self.safe() >= set(range(first, number + 1)), seconds,
                   lambda: f"beats {first} to {number} are safe; missing {sorted(set(range(first, number + 1)) - self.safe())}")

    def wait_number(self, number, seconds):
        wait_until(lambda: self.newest() >= number, seconds, lambda: f"beat {number}; the newest is {self.newest()}")

    def kept(self):
        return [(at, beat) for at, beat in list(self.at) if beat.flags & protocol.KEPT]

    def check_kept(self):
        """What holds for each: its own clocks and metrics, its age, and the pace."""
        first = {}
        for at, beat in list(self.at):
            first.setdefault(beat.number, (at, beat))
        kept = self.kept()
        for (at, beat), (before, _) in zip(kept, [(0, None)] + kept):
            check(at - before > PACE_S - EARLY_S, f"{at - before:.3f} s after the kept beat before")
            sent, same = first[beat.number]
            equal((beat.uptime_ms, beat.run_ms, str(beat.metrics), beat.agent_start, beat.boot_id),
                  (same.uptime_ms, same.run_ms, str(same.metrics), same.agent_start, same.boot_id), "what does not change")
            check(abs(beat.age_ms / 1000 - (at - sent)) < 0.3, f"age {beat.age_ms} after {at - sent:.3f} s")
            check(1 <= beat.oldest_kept <= beat.number, f"oldest kept {beat.oldest_kept} of beat {beat.number}")
        return kept


def relay(world, receiver, name="host"):
    return world.stack.enter_context(Relay(receiver, world.key(name).key))


def test_nothing_is_sent_again(_):
    with World() as world:
        between = relay(world, world.receiver().start())
        world.agent("host", between).start()
        between.wait_number(15, 30)
        between.wait_safe(13, 5)
        equal(between.kept(), [], "kept beats while all is well")
        check(all(beat.number - beat.oldest_kept <= 3 for _, beat in between.at), "few are kept")


def test_receiver_was_stopped(_):
    """20 s at an interval of 1 s, and all the beats of that time come in."""
    with World() as world:
        receiver = world.receiver().start()
        between = relay(world, receiver)
        agent = world.agent("host", between)
        agent.start()
        between.wait_number(4, 20)
        receiver.stop()
        begin, before = len(between.acks), between.acked()
        missed = between.newest() + 20
        between.wait_number(missed, 40)
        receiver.start()
        between.target = receiver.address
        receiver.wait_state("host", "up", 10)
        between.wait_safe(missed, 40)
        # The receiver says the same: what it took note of is what its run before had not heard.
        wait_until(lambda: receiver.count()["beats"] == len(between.acked(begin) - before), 5,
                   lambda: f"{receiver.count()['beats']} beats were heard, {len(between.acked(begin) - before)} were acked for the first time")
        kept = between.check_kept()
        numbers = [beat.number for _, beat in kept]
        check(set(range(max(before) + 1, missed)) <= set(numbers) and numbers == sorted(numbers), f"each once, the oldest first: {numbers}")
        count = len(kept)
        between.wait_number(between.newest() + 5, 20)
        equal(len(between.kept()), count, "kept beats after that")
        unknown = sum(outage["seconds"] or 0 for outage in receiver.outages("host") if outage["state"] == "unknown")
        check(15 <= unknown <= 30, f"the time remains unknown: {receiver.outages('host')}")
        agent.stop()


def test_killed_and_cut(rng):
    """Killed at random instants, also while kept beats come in; the network is cut in between."""
    with World() as world:
        receiver = world.receiver().start()
        between = relay(world, receiver)
        agent = world.agent("host", between, interval="500ms")
        agent.start()
        receiver.wait_state("host", "up", 10)
        for _ in range(6):
            wait = time.monotonic() + rng.uniform(0.1, 3)
            wait_until(lambda at=wait: time.monotonic() > at, 10, "a random while")
            if rng.random() < 0.3:
                between.cut = True
                between.wait_number(between.newest() + 5, 20)
                between.cut = False
            else:
                receiver.kill()
                between.wait_number(between.newest() + rng.randrange(1, 8), 20)
                receiver.start()
                between.target = receiver.address
        between.wait_safe(between.newest(), 60)
        agent.stop()


def test_one_of_two_is_away(_):
    """It gets its beats from the memory that the agent has for both; no more than the setting allows."""
    with World() as world:
        receivers = [world.receiver("one").start(), world.receiver("two").start()]
        one, two = (relay(world, receiver) for receiver in receivers)
        two.cut = True
        agent = world.agent("host", one, two, keep=5)
        agent.start()
        one.wait_number(12, 30)
        first = two.newest() - 4  # the newest one is not kept yet, but may be replaced before it is acked
        two.cut = False
        two.wait_safe(two.newest(), 30, first + 1)
        one.wait_safe(12, 5)
        equal(one.kept(), [], "kept beats for the one that was there")
        numbers = [beat.number for _, beat in two.check_kept()]
        check(numbers and min(numbers) >= first - 1 and len(numbers) <= 6, f"kept beats {numbers}, from about {first} on")
        # A receiver that is taken out of the settings leaves nothing behind.
        two.cut = True
        one.wait_number(one.newest() + 3, 10)
        write_config(agent.config, dict(agent.settings, receivers=["%s:%d" % one.address], keep=256))
        agent.signal(1)
        number = one.newest()
        one.wait_number(number + 4, 10)
        check(one.at[-1][1].oldest_kept >= number, f"oldest kept {one.at[-1][1].oldest_kept}")
        agent.stop()


if __name__ == "__main__":
    sys.exit(run_tests("kept", globals()))
