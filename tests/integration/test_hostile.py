#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_hostile.py - datagrams that are forged, damaged, repeated or recorded, against a real receiver.

Of each the same is asked: no answer, no line in the log, no new host, and of the statistics exactly one moves, by the count
of what was sent ("received" counts everything and is left aside).
"""
import pathlib
import signal
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import protocol  # noqa: E402  pylint: disable=wrong-import-position
from protocol import ACK, BEAT, BYE, CHALLENGE, Ack, Beat, Bye, Challenge, seal  # noqa: E402  pylint: disable=wrong-import-position
from world import RECEIVER, World, check, equal, run_tests, wait_until  # noqa: E402  pylint: disable=wrong-import-position

T, M = 1.0, 0.5


def moved(before, after):
    return {name: after[name] - before[name] for name in after if after[name] != before[name] and name != "received"}


def hears(receiver, before, count):
    """The statistics, once the receiver has taken `count` datagrams more."""
    def heard():
        after = receiver.count()
        return after if after["received"] >= before["received"] + count else None
    after = wait_until(heard, 20, lambda: f"{count} datagrams taken: {moved(before, receiver.count())}")
    equal(after["received"], before["received"] + count, "datagrams received")
    return after


class Attacker:
    """A socket without a session. Sends, and checks that nothing comes of it."""

    def __init__(self, receiver, address=None):
        self.receiver = receiver
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(address or receiver.address)
        self.hosts = self.state()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def state(self):
        return {h["host"]: (h["state"], h["last_heard"]) for h in self.receiver.json("status")["hosts"]}

    def is_answered(self):
        try:
            return self.socket.recv(4096, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None

    def throw(self, datagrams, statistic, what):
        """statistic: the one that moves, or several of which one does."""
        allowed = (statistic,) if isinstance(statistic, str) else statistic
        log, before = self.receiver.log(), self.receiver.count()
        for at in range(0, len(datagrams), 50):  # not more at a time than any socket buffer takes
            now = self.receiver.count() if at else before
            part = datagrams[at:at + 50]
            for datagram in part:
                self.socket.send(datagram)
            hears(self.receiver, now, len(part))
        after = self.receiver.count()
        changes = moved(before, after)
        check(sum(changes.values()) == len(datagrams) and set(changes) <= set(allowed)
              and (len(changes) == 1 or len(datagrams) > 1),
              f"{what}: {len(datagrams)} sent, these moved: {changes}, wanted {statistic}")
        if isinstance(statistic, str):
            equal(changes, {statistic: len(datagrams)}, what)
        equal(self.is_answered(), None, f"answer to {what}")
        equal(self.receiver.log(), log, f"log after {what}")
        equal(self.state(), self.hosts, f"hosts after {what}")


def plain_beat(**fields):
    return Beat(**dict({"session": 77, "counter": 1, "number": 1}, **fields))


def quiet_world(world, **settings):
    """A receiver, and a host that was heard once and keeps silent."""
    receiver = world.receiver(**settings).start()
    with receiver.client("known") as client:
        client.beat_until_acked(interval_ms=60000)
        client.beat_until_acked(interval_ms=60000)
    wait_until(lambda: receiver.state("known") == "up", 5, "the host is up")
    return receiver


def test_malformed(rng):
    with World() as world:
        receiver = quiet_world(world)
        key = world.key("known").key
        good = seal(BEAT, 1, "known", plain_beat().encode(), key)
        header = protocol.HEADER_LEN + len("known")
        with Attacker(receiver) as attacker:
            attacker.throw([good[:n] for n in range(0, protocol.HEADER_LEN + 1 + protocol.TAG_LEN)], "bad_length",
                           "cut within the header")
            attacker.throw([good[:n] for n in range(protocol.HEADER_LEN + 1 + protocol.TAG_LEN,
                                                    header + protocol.TAG_LEN)],
                           ("bad_length", "bad_header"), "cut within the tag")
            attacker.throw([good[:n] for n in range(header + protocol.TAG_LEN, len(good))], "bad_seal",
                           "cut within the payload")
            attacker.throw([good + bytes(n) for n in (1, 8, 100)], "bad_seal", "with something behind")
            for bit in range(8 * len(good)):
                broken = bytearray(good)
                broken[bit // 8] ^= 1 << bit % 8
                wanted = ("bad_version" if bit < 32 else
                          ("bad_header", "bad_seal") if 32 <= bit < 40 else
                          ("unknown_key", "bad_header") if bit < 48 else
                          ("bad_header", "bad_seal", "bad_length") if bit < 56 else
                          "bad_header" if bit < 64 else
                          "bad_seal" if bit < 256 or bit >= 8 * header else ("bad_header", "bad_seal"))
                attacker_throw_one(attacker, bytes(broken), wanted, f"bit {bit} flipped")
            attacker.throw([good[:3] + bytes([v]) + good[4:] for v in (0, 2, 255)], "bad_version", "another version")
            attacker.throw([seal(kind, 1, "known", plain_beat().encode(), key) for kind in (0, 2, 3, 4, 7, 255)],
                           "bad_header", "another type")
            attacker.throw([seal(6, 1, "known", plain_beat().encode(), key)], "bad_seal", "as if from a peer")
            attacker.throw([seal(BEAT, 1, "known", plain_beat().encode(), bytes(32)),
                            seal(BYE, 1, "known", plain_beat().encode(), bytes(32)),
                            seal(BEAT, 1, "unheard", plain_beat().encode(), key)], "bad_seal", "forged")
            # Sealed with the key of the other direction, as only a receiver (or who stole from it) could.
            ack_sealed = protocol.Header(BEAT, 1, "known", bytes(24)).encode()
            ack_key = protocol.derive_ack_key(key)
            attacker.throw([ack_sealed + protocol.aead.xchacha20_poly1305_seal(ack_key, bytes(24), ack_sealed,
                                                                               plain_beat().encode())],
                           "bad_seal", "sealed with the ack key")
            names = ["a/b", "../x", "a%n", "%s%n", "A", "a b", ".a", "-a", "a..b", "a\x7f", "a\x00b", "a\n"]
            attacker.throw([seal(BEAT, 1, name, plain_beat().encode(),
                                 protocol.derive_host_key(world.site_key, 1, name)) for name in names],
                           "bad_header", "a bad name")
            long_name = "a" * 101
            attacker.throw([seal(BEAT, 1, long_name, plain_beat().encode(),
                                 protocol.derive_host_key(world.site_key, 1, long_name))],
                           "bad_header", "a name too long")
            room = protocol.DATAGRAM_MAX - header - protocol.TAG_LEN
            attacker.throw([seal(BEAT, 1, "known", bytes(room + n), key) for n in (1, 2, 300)] + [rng.randbytes(n)
                                                                                                  for n in (1201, 9000,
                                                                                                            60000)],
                           "bad_length", "oversize")
            attacker.throw([rng.randbytes(rng.randrange(1201)) for _ in range(500)], ("bad_length", "bad_version"),
                           "random bytes")
            attacker.throw([good[:4] + rng.randbytes(rng.randrange(1, 1196)) for _ in range(500)],
                           ("bad_length", "bad_header", "unknown_key", "bad_seal"), "random bytes behind the magic")


def attacker_throw_one(attacker, datagram, statistic, what):
    """As throw, without the looks that start a program."""
    before = attacker.receiver.count()
    attacker.socket.send(datagram)
    changes = moved(before, hears(attacker.receiver, before, 1))
    allowed = (statistic,) if isinstance(statistic, str) else statistic
    check(list(changes.values()) == [1] and set(changes) <= set(allowed),
          f"{what}: these moved: {changes}, wanted {statistic}")
    equal(attacker.is_answered(), None, f"answer to {what}")


def test_sealed_nonsense(_):
    """Sealed with the right key, and still wrong: a host with a defect."""
    with World() as world:
        receiver = quiet_world(world)
        key = world.key("known").key
        beats = [plain_beat(counter=0), plain_beat(number=0), plain_beat(previous_end=4), plain_beat(previous_end=255),
                 plain_beat(metrics=[0.0] * 101)]
        payloads = [beat.encode() for beat in beats] + [plain_beat().encode()[:n]
                                                        for n in (0, 1, 20, 89)] + [plain_beat().encode() + bytes(7)]
        byes = [Bye(1, 0).encode(), Bye(1, 1, reason=0).encode(), Bye(1, 1, reason=3).encode(), Bye(1, 1).encode()[:-1],
                b""]
        with Attacker(receiver) as attacker:
            attacker.throw([seal(BEAT, 1, "known", p, key) for p in payloads] + [seal(BYE, 1, "known", p, key)
                                                                                 for p in byes],
                           "bad_payload", "sealed nonsense")


def test_keys(_):
    """Generations and revocation, by configuration and by reload."""
    with World() as world:
        receiver = quiet_world(world, generations=[1, 2], revoke=["gone", "moved#1"])
        with Attacker(receiver) as attacker:
            def beats(*pairs):
                return [seal(BEAT, g, n, plain_beat().encode(), world.key(n, g).key) for n, g in pairs]
            attacker.throw(beats(("known", 3), ("known", 255)), "unknown_key", "a generation that is not valid")
            attacker.throw(beats(("gone", 1), ("gone", 2), ("moved", 1)), "unknown_key", "a revoked key")
            zero = seal(BEAT, 0, "known", plain_beat().encode(), world.key("known", 0).key)
            attacker.throw([zero], ("unknown_key", "bad_header"), "generation 0")
        with protocol.Client(world.key("moved", 2), receiver.address) as client:
            client.beat_until_acked()
        with receiver.client("known") as client:
            client.beat_until_acked()
            receiver.write_settings(revoke=["known#1"])
            receiver.signal(signal.SIGHUP)
            wait_until(lambda: "settings reloaded" in receiver.log(), 10, "the reload")
            with Attacker(receiver) as attacker:
                before = receiver.count()
                client.send_beat()
                client.send_bye()
                equal(moved(before, hears(receiver, before, 2)), {"unknown_key": 2},
                      "a key revoked in the middle of a session")
                equal(client.receive(0.1), None, "answer to a revoked key")
                equal(attacker.state(), attacker.hosts, "hosts")
            receiver.write_settings(revoke=[])
            receiver.signal(signal.SIGHUP)
            wait_until(lambda: receiver.log().count("settings reloaded") == 2, 10, "the reload")
            check(client.beat_until_acked(), "valid again")


def test_repeated(_):
    with World() as world:
        receiver = world.receiver().start()
        with receiver.client("host") as client, Attacker(receiver) as attacker:
            client.beat_until_acked()
            old = client.sent
            for _ in range(3):
                client.beat_until_acked()
            attacker.hosts = attacker.state()
            attacker.throw([client.sent] * 10, "repeated", "the last datagram, repeated")
            attacker.throw([old] * 10, "repeated", "an older one, repeated")
            # Far behind the window, with a counter that was never used.
            client.counter += 5000
            client.beat_until_acked()
            attacker.hosts = attacker.state()
            behind = seal(BEAT, 1, "host", plain_beat(session=client.session, counter=client.counter - 1024, number=999,
                                                      agent_start=client.agent_start, echo=client.echo).encode(),
                          client.key.key)
            attacker.throw([behind], "repeated", "a counter behind the window")
            inside = seal(BEAT, 1, "host", plain_beat(session=client.session, counter=client.counter - 1023,
                                                      number=client.number,
                                                      agent_start=client.agent_start, echo=client.echo).encode(),
                          client.key.key)
            before = receiver.count()
            client.send_raw(inside)
            changes = moved(before, hears(receiver, before, 1))
            equal(changes, {"acks": 1, "known": 1}, "a known beat under a fresh counter")
            check(isinstance(client.receive(), Ack), "a known beat is acked again")
            client.send_bye()
            check(isinstance(client.receive(), Ack), "the goodbye is acked")
            attacker.hosts = attacker.state()
            attacker.throw([client.sent] * 3, "repeated", "a goodbye, repeated")


def test_answers_are_not_longer(_):
    """The shortest questions that get an answer, from a name of one character."""
    with World() as world:
        receiver = world.receiver().start()
        for name in ("a", "b" * 100):
            with receiver.client(name) as client:
                for metrics in ([], [1.0]):
                    for kind, send in (("beat", lambda m=metrics: client.send_beat(metrics=m)),
                                       ("kept beat", lambda m=metrics: client.send_beat(metrics=m, flags=1, oldest_kept=1)),
                                       ("repeated number", lambda m=metrics: client.send_beat(metrics=m, number=client.number)),
                                       ("goodbye", client.send_bye), ("goodbye of a host", lambda: client.send_bye(reason=2))):
                        for turn in range(3):  # challenged, then acked
                            send()
                            client.socket.settimeout(5)
                            answer = client.socket.recv(4096)
                            check(len(answer) <= len(client.sent),
                                  f"{len(answer)} bytes answer {len(client.sent)} of a {kind} of {name[:3]}")
                            header, payload = protocol.open_datagram(answer, client.key.key)
                            equal(header.type, ACK if turn else CHALLENGE, f"type of the answer to a {kind}")
                            if header.type == CHALLENGE:
                                client.echo = Challenge.decode(payload).value
                        client.new_session()


def test_answers_come_from_where_was_asked(_):
    with World() as world:
        receiver = world.receiver(listen=["0.0.0.0:0", "[::]:0"]).start()
        (_, port4), (_, port6) = receiver.addresses
        for family, address in ((socket.AF_INET, ("127.0.0.1", port4)), (socket.AF_INET, ("127.0.0.2", port4)),
                                (socket.AF_INET, ("127.9.8.7", port4)), (socket.AF_INET6, ("::1", port6))):
            with socket.socket(family, socket.SOCK_DGRAM) as s:
                s.settimeout(5)
                s.sendto(seal(BEAT, 1, "host", plain_beat().encode(), world.key("host").key), address)
                answer, source = s.recvfrom(4096)
                equal(source[:2], address, "source of the answer")
                equal(protocol.open_datagram(answer, world.key("host").key)[0].type, CHALLENGE, "type of the answer")


def test_other_names(_):
    """A key speaks for its own name only; who holds a thousand keys still holds no other."""
    with World() as world:
        receiver = quiet_world(world)
        mine = world.key("mine").key
        with Attacker(receiver) as attacker:
            attacker.throw([seal(BEAT, 1, name, plain_beat().encode(), mine)
                            for name in ("known", "other", "min", "mine.x", "mine2")],
                           "bad_seal", "a key speaking for another name")
        with receiver.client("known") as client:  # and a proven session is of its name only
            client.beat_until_acked()
            with protocol.Client(world.key("mine"), receiver.address) as thief:
                thief.session, thief.echo, thief.counter = client.session, client.echo, client.counter
                before = receiver.count()
                thief.send_beat()
                check(isinstance(thief.receive(), Challenge), "a session of another host is challenged")
                equal(moved(before, receiver.count()), {"challenged": 1, "challenges": 1}, "it")
        equal(receiver.state("mine"), None, "no host came of it")


def record_conversation(world, receiver):
    """What a real agent and the receiver said to each other, from first beat to acked goodbye, through two starts."""
    proxy = world.proxy(receiver)
    agent = world.agent("victim", proxy)
    for _ in range(2):
        agent.start()
        receiver.wait_state("victim", "up")
        count = len(proxy.sent)
        wait_until(lambda n=count: len(proxy.sent) > n + 3, 10, "a conversation")
        agent.stop()
    return proxy.sent[:], proxy.answers[:]


def play_back(receiver, recorded, rng, what):
    """In order, backwards and shuffled. Nothing is accepted."""
    log, before = receiver.log(), receiver.count()
    hosts = receiver.try_ask("status")["hosts"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(receiver.address)
        for order in (recorded, recorded[::-1], rng.sample(recorded, len(recorded))):
            now = receiver.count()
            for datagram in order:
                s.send(datagram)
            hears(receiver, now, len(order))
    changes = moved(before, receiver.count())
    check(set(changes) <= {"challenged", "challenges", "repeated"}, f"{what} moved {changes}")
    equal(receiver.log(), log, f"log after {what}")
    after = receiver.try_ask("status")["hosts"]
    equal([(h["host"], h["last_heard"]) for h in after], [(h["host"], h["last_heard"]) for h in hosts],
          f"hosts after {what}")
    return changes


def test_played_back(rng):
    with World() as world:
        receiver = world.receiver().start()
        stranger = world.receiver("stranger").start()
        sent, answers = record_conversation(world, receiver)
        check(len(sent) > 8 and len(answers) > 8, f"recorded {len(sent)} and {len(answers)}")
        receiver.wait_state("victim", "unknown", 6)
        changes = play_back(receiver, sent, rng, "a conversation played back to the receiver that heard it")
        check(changes.get("repeated", 0) > 0 and changes.get("challenged", 0) > 0,
              f"both sessions were played: {changes}")
        # Kept up by it? A host whose agent was killed goes down as if nobody played.
        agent = world.agent("victim", receiver, folder="again")
        agent.start()
        started = time.time()
        receiver.wait_state("victim", "up")
        wait_until(lambda: time.time() > started + 5, 10, "a warm rhythm")
        killed = agent.kill()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect(receiver.address)
            while receiver.state("victim") != "down":
                asked = time.time()
                check(asked < killed + 2 * T + M + 0.3, "kept up by what was played back")
                s.send(rng.choice(sent))
                time.sleep(0.02)
        play_back(receiver, sent, rng, "a conversation played back to a host that is down")
        equal(receiver.state("victim"), "down", "after a playback")
        receiver.stop()
        receiver.start()
        receiver.twobeat("flush")  # it has told what its absence meant for the host
        changes = play_back(receiver, sent, rng, "a conversation played back to a restarted receiver")
        equal(set(changes), {"challenged", "challenges"}, "what a restarted receiver makes of it")
        check(receiver.state("victim") != "up", "up by what was played back")
        changes = play_back(stranger, sent, rng, "a conversation played back to another receiver of the site")
        equal(set(changes), {"challenged", "challenges"}, "what another receiver makes of it")
        equal(stranger.try_ask("status")["hosts"], [], "hosts of the other receiver")
        equal(list((stranger.data / "hosts").iterdir()), [], "folders of the other receiver")
        # Its own answers, reflected.
        with Attacker(receiver) as attacker:
            attacker.throw(answers, "bad_header", "answers of the receiver, reflected")


def test_reflected_to_the_agent(_):
    with World() as world:
        receiver = world.receiver().start()
        proxy = world.proxy(receiver)
        proxy.reflects = True
        agent = world.agent("host", proxy)
        started = agent.start()
        receiver.wait_state("host", "up")
        wait_until(lambda: time.time() > started + 6, 10, "some beats")
        agent.check_running()
        equal(receiver.state("host"), "up", "a host whose datagrams come back to it")
        # A beat a second, one more for the challenge, and little else: what comes back provokes nothing.
        check(len(proxy.sent) <= 12, f"{len(proxy.sent)} datagrams in 6 s")
        agent.stop()


def test_no_memory(_):
    """Challenges cost nothing: 500 names and sessions, 100 times each."""
    with World() as world:
        receiver = world.receiver().start()
        names = [f"host{i}" for i in range(500)]
        datagrams = [seal(BEAT, 1, name, plain_beat(session=1000 + i).encode(), world.key(name).key) for i,
                     name in enumerate(names)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect(receiver.address)
            s.settimeout(20)

            def ask_all():
                for at in range(0, len(datagrams), 50):
                    for datagram in datagrams[at:at + 50]:
                        s.send(datagram)
                    for _ in range(50):
                        s.recv(2048)
            ask_all()
            before, log, count = receiver.rss_bytes(), receiver.log(), receiver.count()
            for _ in range(100):
                ask_all()
            grown = receiver.rss_bytes() - before
        equal(moved(count, receiver.count()), {"challenged": 50000, "challenges": 50000}, "statistics")
        check(grown < 1 << 20, f"grew by {grown} bytes over 50,000 challenges")
        equal(receiver.log(), log, "log")
        equal(receiver.try_ask("status")["hosts"], [], "hosts")
        equal(list((receiver.data / "hosts").iterdir()), [], "folders")


def test_extreme_values(_):
    """A host that says wild things about itself harms only itself."""
    with World() as world:
        receiver = world.receiver().start()
        with receiver.client("wild") as wild, receiver.client("sane") as sane:
            most = {"age_ms": 2**32 - 1, "interval_ms": 2**32 - 1, "uptime_ms": 2**64 - 1, "run_ms": 2**64 - 1,
                    "oldest_kept": 2**32 - 1,
                    "flags": 255, "agent_start": 2**64 - 1}
            sane.beat_until_acked()
            wild.beat_until_acked(**most, metrics=[float("inf"), float("-inf"), 1e308, -1e308] * 8)
            wild.beat_until_acked(age_ms=0, interval_ms=0, uptime_ms=0, run_ms=0, oldest_kept=0, agent_start=0,
                                  metrics=[-0.0] * 34)
            wild.beat_until_acked(number=2**32 - 1, **most)
            wild.send_beat(number=1, **most)
            wild.send_bye(age_ms=2**32 - 1, reason=2)
            for _ in range(4):
                wild.beat_until_acked(uptime_ms=struct.unpack("!Q", b"\x7f" + b"\xff" * 7)[0], run_ms=1)
                sane.beat_until_acked()
        receiver.check_running()
        equal(receiver.state("sane"), "up", "the other host")
        receiver.twobeat("flush")
        receiver.twobeat("verify")
        receiver.stop()
        receiver.start()
        receiver.stop()


if __name__ == "__main__":
    check(RECEIVER.exists(), f"{RECEIVER} is not built")
    sys.exit(run_tests("hostile", globals()))
