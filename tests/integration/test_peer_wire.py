#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_peer_wire.py - a real receiver and a peer that is somebody else's implementation (protocol.PeerClient, made from PROTOCOL.md).

What it says of hosts that are late is believed as far as it should be, what it asks is answered rightly, and nothing that a stranger, a
recording or a broken peer sends changes anything.
"""
import pathlib
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import protocol  # noqa: E402  pylint: disable=wrong-import-position
from protocol import ANSWERS, HEARD, LATE, NOT_MINE, QUESTION, SILENT, Answer, PeerClient, Question  # noqa: E402  pylint: disable=wrong-import-position
from world import World, check, equal, run_tests, wait_until  # noqa: E402  pylint: disable=wrong-import-position


def start_receiver(world, **peers):
    """A receiver with these peers: name=PeerClient."""
    receiver = world.receiver()
    plain = receiver.write_settings

    def write(**changes):
        plain(**changes)
        with receiver.config.open("a", encoding="utf-8") as config:
            for name, client in peers.items():
                config.write(f'peer {name} {{ address = "{client.address[0]}:{client.address[1]}" }}\n')

    receiver.write_settings = write
    write()
    return receiver.start()


def peer(world, name="other"):
    return world.stack.enter_context(PeerClient(world.site_key, name, "recv"))


def meet(receiver, client):
    """Both prove themselves. The receiver speaks first."""
    check(client.receive(10), "the receiver is heard and proves itself")
    wait_until(lambda: client.receive(0.1) or told(receiver, client), 5, "the receiver hears its peer")


def told(receiver, client):
    return any(p["name"] == client.name and p["heard"] for p in receiver.try_ask("status")["receiver"]["peers"])


class Talker(threading.Thread):
    """Answers what the receiver asks, until it is stopped."""

    def __init__(self, client, answer):
        super().__init__(daemon=True)
        self.client, self.questions, self.ends = client, [], False
        client.answer_question = lambda question: self.questions.append(question) or answer(question)
        self.start()

    def run(self):
        while not self.ends:
            self.client.receive(0.1)

    def stop(self):
        self.ends = True
        self.join(5)


def exchange(client, *questions):
    """The answers to these questions."""
    head = client.ask(*questions)
    size, deadline = len(client.sent), time.monotonic() + 5
    while time.monotonic() < deadline:
        got = client.receive(1)
        if got and head.counter in got.answers():
            check(got.size <= size, f"an answer of {got.size} bytes to {size}")
            return got.answers()[head.counter]
    raise AssertionError("no answer")


def test_contact(_):
    with World() as world:
        client = peer(world)
        receiver = start_receiver(world, other=client)
        first = client.socket.recv(4096)
        check(not told(receiver, client), "a peer that said nothing is not heard")
        client.to = receiver.address
        payload = protocol.open_peer(first, "other", world.site_key)[1]
        head = protocol.PeerHead.decode(payload)
        equal((head.echo, head.challenged, head.heard, len(payload)), (protocol.NO_ECHO, 0, 0, 64 + 100 - 4), "first head")
        client.challenged = head.session
        client.send()  # one exchange: it challenges, and is challenged
        got = client.receive(5)
        check(got and got.head.session == head.session, "the receiver proves its session")
        wait_until(lambda: told(receiver, client), 5, "the peer is heard")
        heads = [client.receive(8) for _ in range(2)]
        check(all(heads), "heads go on")
        gap = heads[1].at - heads[0].at
        check(4 < gap < 6.5, f"a head every 5 s: {gap}")
        check(all(not h.items for h in heads), "nobody is late, so nothing is asked")
        # Another process of the peer takes the place of the first at once.
        client.new_session()
        client.send()
        client.receive(1)
        equal(exchange(client, Question(1, 1, 0, "nobody"))[0].kind, NOT_MINE, "the new session")


def test_questions(_):
    with World() as world:
        client = peer(world)
        receiver = start_receiver(world, other=client)
        meet(receiver, client)
        with receiver.client("alive") as alive, receiver.client("gone") as gone:
            gone.beat_until_acked(interval_ms=1000)
            gone_at = time.monotonic()
            gone.beat_until_acked(interval_ms=1000)
            wait_until(lambda: receiver.state("gone") not in (None, "up"), 10, "one host is late")
            alive.beat_until_acked(interval_ms=60000)
            alive.beat_until_acked(interval_ms=60000)
            alive_at = time.monotonic()

            def ask(host, number, start=None, age_ms=0):
                own = {"alive": alive, "gone": gone}.get(host)
                return Question(start or (own and own.agent_start) or 1, number, age_ms, host)

            got = exchange(client, ask("alive", 1), ask("alive", 2), ask("gone", 1), ask("gone", 2), ask("nobody", 1),
                           ask("alive", 9, start=5, age_ms=60000), ask("alive", 1, start=5, age_ms=0))
            now = time.monotonic()
            equal([a.kind for a in got], [HEARD, NOT_MINE, LATE, SILENT, NOT_MINE, HEARD, NOT_MINE], "answers")
            check(abs(got[0].age_ms - (now - alive_at) * 1000) < 700, f"age of a beat heard {now - alive_at} s ago: {got[0]}")
            check(abs(got[2].age_ms - (now - gone_at) * 1000) < 1200, f"age of a beat heard {now - gone_at} s ago: {got[2]}")
            check(got[3].age_ms >= (now - gone_at) * 1000 - 1200, f"silent since: {got[3]}")
            check(got[0].back_ms < 10000 and got[0].state == 0, f"up since it was first heard, before that unknown: {got[0]}")
            # As many as fit.
            equal([a.kind for a in exchange(client, *[Question(1, 1, 0, "x")] * 44)], [NOT_MINE] * 44, "44 questions")
            # It comes back, and that is told.
            gone.beat_until_acked(interval_ms=1000)
            receiver.wait_state("gone", "up")
            back = exchange(client, ask("gone", 2))[0]
            check(back.kind in (HEARD, LATE) and back.back_ms < 10000, f"it is back: {back}")


def test_late(_):
    """Three real agents die at once; the peer says of one that it hears it, of one that it does not, and does not know the third."""
    with World() as world:
        client = peer(world)
        receiver = start_receiver(world, other=client)
        still = True

        def answer(question):
            if question.host == "elsewhere" and still:
                return Answer(HEARD, int(time.time() * 1000) % 1000)
            return Answer(NOT_MINE) if question.host == "strange" else Answer(SILENT, 3600000)

        meet(receiver, client)
        talker = Talker(client, answer)
        agents = {name: world.agent(name, receiver, interval="1s") for name in ("elsewhere", "dead", "strange")}
        for agent in agents.values():
            agent.start()
        for name in agents:
            wait_until(lambda name=name: (host := receiver.look(name)) and host["state"] == "up" and host["next_expected"]
                       and host["interval"] == 1, 15, lambda name=name: f"{name} is up: {receiver.look(name)}")
        equal(talker.questions, [], "questions while all is well")
        died = time.time()
        for agent in agents.values():
            agent.kill()
        for name in ("dead", "strange"):
            host = receiver.wait_state(name, "down", 8)
            equal(host["cause"], "silent", name)
            check(host["since"] - died < 3, f"{name} is down since {host['since'] - died} s after it died")
        host = wait_until(lambda: (h := receiver.look("elsewhere"))["cause"] == "path" and h, 5,
                          lambda: f"heard elsewhere: {receiver.look('elsewhere')}")
        equal(host["state"], "up", "heard elsewhere")
        check({q.host for q in talker.questions} == set(agents), f"asked about {talker.questions[:5]}")
        count = len([q for q in talker.questions if q.host == "elsewhere"])
        wait_until(lambda: len([q for q in talker.questions if q.host == "elsewhere"]) > count + 2, 6, "it is asked about again")
        equal(receiver.state("elsewhere"), "up", "heard elsewhere")
        still = False
        host = receiver.wait_state("elsewhere", "down", 10)
        talker.stop()
        equal(len(receiver.outages("elsewhere")), 1, "outages of the host that was heard elsewhere")


def all_hosts(receiver):
    return {h["host"]: (h["state"], h["cause"], h["last_heard"]) for h in receiver.try_ask("status")["hosts"]}


def bodies_of_nonsense(rng):
    """Items that no receiver sends."""
    question = Question(1, 1, 0, "down").encode()
    ages = (0, 1, 1000, 2 ** 31, 2 ** 32 - 1)
    lies = [Answer(kind, age, back, state, cause) for kind in range(7) for age in ages for back in ages[::2]
            for state, cause in ((2, 1), (255, 255))]
    yield protocol.encode_items([(ANSWERS, protocol.encode_answers(counter, rng.sample(lies, 20)))
                                 for counter in (0, 1, 2 ** 64 - 1)])
    yield from (protocol.encode_items([(ANSWERS, protocol.encode_answers(rng.getrandbits(63), rng.sample(lies, 40)))])
                for _ in range(5))
    yield from (protocol.encode_items([(kind, b"x" * 20)]) for kind in (3, 4, 7, 255))
    yield from (protocol.encode_items([(QUESTION, question)])[:n] for n in range(0, 3 + len(question), 4))
    yield protocol.encode_items([(QUESTION, b"")] * 100)
    yield protocol.encode_items([(QUESTION, bytes(18) + b"../etc")])
    yield protocol.encode_items([(ANSWERS, b"")] * 200)
    yield b"\1\xff\xff" + question
    yield from (rng.randbytes(rng.randrange(1, 988)) for _ in range(20))
    yield rng.randbytes(1200 - 32 - 5 - 16 - 64 - 95)


def test_nothing_changes(rng):
    with World() as world:
        client, third = peer(world), PeerClient(world.site_key, "third", "recv")
        receiver = start_receiver(world, other=client)
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        world.stack.callback(stranger.close)
        world.stack.callback(third.socket.close)
        stranger.connect(receiver.address)
        meet(receiver, client)
        talker = Talker(client, lambda question: Answer(SILENT, 3600000))
        with receiver.client("down") as down, receiver.client("alive") as alive:
            for host, interval_ms in ((down, 1000), (alive, 60000)):
                for _ in range(2):
                    host.beat_until_acked(interval_ms=interval_ms)
        receiver.wait_state("down", "down")
        talker.stop()
        client.answer_question = None
        log, hosts = receiver.log(), all_hosts(receiver)
        memory = receiver.rss_bytes()

        def throw(datagrams, answered, what, opens=True):
            """Each from a stranger's address. Opens: with the key of the peer."""
            counts = receiver.count()
            before = counts["received"]
            for datagram in datagrams:
                stranger.settimeout(5)
                stranger.send(datagram)
                if answered:
                    check(len(stranger.recv(4096)) <= len(datagram), f"{what}: an answer that is too long")
            wait_until(lambda: receiver.count()["received"] >= before + len(datagrams), 10, f"{what}: taken")
            name = "peer" if opens else "bad_seal"
            check(receiver.count()[name] - counts[name] >= len(datagrams), f"{what}: {name} {receiver.count()[name] - counts[name]}")
            stranger.setblocking(False)
            try:
                extra = stranger.recv(4096)
            except BlockingIOError:
                extra = None
            equal(extra, None, f"{what}: answer")
            equal(all_hosts(receiver), hosts, what)
            equal(receiver.log(), log, what)

        def sealed(payload, name="other", site_key=world.site_key, **how):
            return protocol.seal_peer(name, "recv", payload, site_key, **how)

        def said(items=b"", **fields):
            return protocol.peer_payload("other", client.head(**fields), items)

        proven = sealed(said())
        stranger.send(proven)
        throw([proven, client.sent] * 5, False, "recordings of this session")
        throw([sealed(said(counter=counter)) for counter in (client.counter, 1, 2)], False, "counters that were used")
        throw([sealed(said(counter=0)), sealed(said(session=0)), sealed(said()[:63]), sealed(b"")], False, "broken heads")
        throw([sealed(said(), site_key=bytes(32)), sealed(said(), generation=2), sealed(said(), "third"), sealed(said(), "recv"),
               protocol.seal_peer("recv", "other", said(), world.site_key), proven[:-1],
               protocol.seal(protocol.PEER, 1, "other", said(), world.key("other").key)], False, "other keys and names", opens=False)
        throw([sealed(said(session=n + 1, echo=client.echo)) for n in range(20)], True, "wrong echoes")
        # What a peer may say, though it makes no sense: believed of nobody that was not asked about.
        for items in bodies_of_nonsense(rng):
            datagram = sealed(said(items[:988]))
            check(len(datagram) <= 1200, "too long for the test")
            stranger.settimeout(0.01)
            stranger.send(datagram)
            try:
                check(len(stranger.recv(4096)) <= len(datagram), "an answer that is too long")
            except TimeoutError:
                pass
        wait_until(lambda: all_hosts(receiver) == hosts, 1, lambda: f"{all_hosts(receiver)} is {hosts}")
        # Thousands of sessions: none is remembered, and the true one is served meanwhile.
        many = [sealed(said(session=rng.getrandbits(63) + 1)) for _ in range(100)]
        for _ in range(20):
            throw(many, True, "many sessions")
            client.to = receiver.address
            equal(exchange(client, Question(1, 1, 0, "alive"))[0].kind in (HEARD, NOT_MINE), True, "the true session")
        check(receiver.rss_bytes() - memory < 8 << 20, f"{receiver.rss_bytes() - memory} bytes more memory")
        equal(receiver.log(), log, "log")
        check(told(receiver, client), "the peer is heard")


if __name__ == "__main__":
    sys.exit(run_tests("peer_wire", dict(globals())))
