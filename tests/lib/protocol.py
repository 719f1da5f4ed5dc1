#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A second implementation of the twobeat protocol, made from PROTOCOL.md alone.

It shares no code with the daemons, so that both would have to be wrong in the same way for a test to miss it. It
needs nothing but Python 3's standard library: BLAKE2b comes from hashlib, XChaCha20-Poly1305 from aead.py beside it.
It is slow and not constant-time: for tests only. Run as a program, it checks itself.
"""
import dataclasses
import hashlib
import math
import os
import re
import socket
import struct
import time
import uuid

import aead

MAGIC = b"2BT\x01"
BEAT, ACK, CHALLENGE, DETAIL, BYE, PEER = 1, 2, 3, 4, 5, 6
DATAGRAM_MAX = 1200
HEADER_LEN = 32
TAG_LEN = aead.TAG_LEN
METRIC_MAX = 100
KEPT = 1
MOVED = 1
NO_ECHO = bytes(16)

# PROTOCOL.md section 6; tests/vectors/check compares it with the table there.
METRICS = (
    "load1 load5 load15 cpu_user cpu_system cpu_iowait cpu_steal processes running forks context_switches mem_total "
    "mem_available mem_used swap_used disk_root disk_fullest inodes_fullest disk_read disk_write disk_operations "
    "disk_busiest net_in net_out packets_in packets_out net_errors net_drops tcp_established file_handles uptime "
    "pressure_memory pressure_io sensor_hottest").split()


class ProtocolError(ValueError):
    """What was received, or should be sent, is not what PROTOCOL.md allows."""


# --- Keys (section 1) ----------------------------------------------------------------------------------------------

def blake2b(size, key, text):
    return hashlib.blake2b(text, digest_size=size, key=key).digest()


def derive_host_key(site_key, generation, name):
    return blake2b(32, site_key, b"host" + bytes([generation]) + name.encode("ascii"))


def derive_agent_key(host_key):
    return blake2b(32, host_key, b"agent")


def derive_ack_key(host_key):
    return blake2b(32, host_key, b"ack")


def derive_view_key(site_key):
    return blake2b(32, site_key, b"view")


def derive_peer_key(site_key, sender, recipient):
    return blake2b(32, site_key, b"peer" + bytes([len(sender)]) + sender.encode("ascii") + recipient.encode("ascii"))


def name_is_valid(name):
    return bool(re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,99}", name)) and ".." not in name


@dataclasses.dataclass
class KeyFile:
    """The line of a key file. kind: "site", "host" or "view"; name and generation only of a host key."""
    kind: str
    key: bytes
    name: str = None
    generation: int = None

    def line(self):
        words = [f"twobeat-{self.kind}-key-1"]
        if self.kind == "host":
            words += [self.name, str(self.generation)]
        return " ".join(words + [self.key.hex()])

    @classmethod
    def parse(cls, text):
        lines = [line.split() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
        if len(lines) != 1:
            raise ProtocolError(f"a key file holds one line, not {len(lines)}")
        head, *middle, digits = lines[0]
        kind = re.fullmatch(r"twobeat-(site|host|view)-key-1", head)
        if not kind or not re.fullmatch(r"[0-9a-f]{64}", digits) or len(middle) != (2 if kind[1] == "host" else 0):
            raise ProtocolError("not a key line")
        out = cls(kind[1], bytes.fromhex(digits))
        if middle:
            if not name_is_valid(middle[0]) or not middle[1].isdigit() or not 1 <= int(middle[1]) <= 255:
                raise ProtocolError("bad name or generation")
            out.name, out.generation = middle[0], int(middle[1])
        return out


# --- The datagram (section 2) --------------------------------------------------------------------------------------

def sealing_key(kind, host_key):
    return derive_agent_key(host_key) if kind in (BEAT, BYE) else derive_ack_key(host_key)


def make_nonce(key, fresh, plaintext):
    return blake2b(24, key, fresh + plaintext)


@dataclasses.dataclass
class Header:
    type: int
    generation: int
    name: str
    nonce: bytes

    def encode(self):
        name = self.name.encode("ascii")
        return MAGIC + bytes([self.type, self.generation, len(name), 0]) + self.nonce + name

    @classmethod
    def parse(cls, datagram):
        """The header, and the sealed payload behind it."""
        if not HEADER_LEN + 1 + TAG_LEN <= len(datagram) <= DATAGRAM_MAX:
            raise ProtocolError("length")
        magic, kind, generation, name_len, zero = struct.unpack_from("!4sBBBB", datagram)
        name = datagram[HEADER_LEN:HEADER_LEN + name_len].decode("latin-1")
        if magic != MAGIC or kind not in (BEAT, ACK, CHALLENGE, BYE, PEER) or generation == 0 or zero != 0:
            raise ProtocolError("header")
        if not name_is_valid(name) or len(datagram) < HEADER_LEN + name_len + TAG_LEN:
            raise ProtocolError("name")
        return cls(kind, generation, name, datagram[8:HEADER_LEN]), datagram[HEADER_LEN + name_len:]


def seal_with(key, kind, generation, name, payload, fresh=None):
    nonce = make_nonce(key, os.urandom(32) if fresh is None else fresh, payload)
    head = Header(kind, generation, name, nonce).encode()
    return head + aead.xchacha20_poly1305_seal(key, nonce, head, payload)


def open_with(key, header, sealed, datagram):
    head = datagram[:len(datagram) - len(sealed)]
    try:
        return aead.xchacha20_poly1305_open(key, header.nonce, head, sealed)
    except aead.SealError as error:
        raise ProtocolError(str(error)) from None


def seal(kind, generation, name, payload, host_key, fresh=None):
    """A whole datagram. Nothing is checked, so that tests can also make what must be refused."""
    return seal_with(sealing_key(kind, host_key), kind, generation, name, payload, fresh)


def open_datagram(datagram, host_key):
    """(Header, payload); raises ProtocolError if it is malformed or the seal does not hold."""
    header, sealed = Header.parse(datagram)
    return header, open_with(sealing_key(header.type, host_key), header, sealed, datagram)


def seal_peer(sender, recipient, payload, site_key, fresh=None, generation=1):
    """A datagram between receivers. Nothing is checked; the zeros at the end are part of the payload."""
    return seal_with(derive_peer_key(site_key, sender, recipient), PEER, generation, sender, payload, fresh)


def open_peer(datagram, recipient, site_key):
    """(Header, payload) of what was sent to `recipient`."""
    header, sealed = Header.parse(datagram)
    if header.type != PEER or header.generation != 1:
        raise ProtocolError("not of a peer")
    return header, open_with(derive_peer_key(site_key, header.name, recipient), header, sealed, datagram)


# --- Payloads (section 3) ------------------------------------------------------------------------------------------

class _Payload:
    """A payload whose fields, in order, are those of LAYOUT (a struct format)."""

    def encode(self):
        names = (field.name for field in dataclasses.fields(self) if field.name != "metrics")
        return struct.pack(self.LAYOUT, *(getattr(self, name) for name in names))

    @classmethod
    def decode(cls, payload):
        if len(payload) < struct.calcsize(cls.LAYOUT):
            raise ProtocolError("the payload is too short")
        out = cls(*struct.unpack_from(cls.LAYOUT, payload))
        out.check()
        return out

    def check(self):
        if self.counter == 0:
            raise ProtocolError("counters start at 1")


@dataclasses.dataclass
class Beat(_Payload):
    TYPE = BEAT
    LAYOUT = "!QQIII16sQQQB16sIB"
    session: int
    counter: int
    number: int
    age_ms: int = 0
    interval_ms: int = 1000
    boot_id: bytes = NO_ECHO
    uptime_ms: int = 0
    run_ms: int = 0
    agent_start: int = 1
    previous_end: int = 0
    echo: bytes = NO_ECHO
    oldest_kept: int = 1
    flags: int = 0
    metrics: list = dataclasses.field(default_factory=list)

    def encode(self):
        return super().encode() + struct.pack(f"!{len(self.metrics)}d", *self.metrics)

    @classmethod
    def decode(cls, payload):
        out = super().decode(payload)
        rest = payload[struct.calcsize(cls.LAYOUT):]
        if len(rest) % 8 or len(rest) // 8 > METRIC_MAX:
            raise ProtocolError("metrics")
        values = list(struct.unpack(f"!{len(rest) // 8}d", rest))[:len(METRICS)]
        out.metrics = values + [math.nan] * (len(METRICS) - len(values))
        return out

    def check(self):
        super().check()
        if self.number == 0 or self.previous_end > 3:
            raise ProtocolError("beat number or previous end")


@dataclasses.dataclass
class Ack(_Payload):
    TYPE = ACK
    LAYOUT = "!QQI"
    session: int
    counter: int
    safe: int = 0


@dataclasses.dataclass
class Challenge(_Payload):
    TYPE = CHALLENGE
    LAYOUT = "!QQ16s"
    session: int
    counter: int
    value: bytes = NO_ECHO


@dataclasses.dataclass
class Bye(_Payload):
    TYPE = BYE
    LAYOUT = "!QQIQ16sBB2x"
    session: int
    counter: int
    age_ms: int = 0
    agent_start: int = 1
    echo: bytes = NO_ECHO
    reason: int = 1
    flags: int = 0  # MOVED

    def check(self):
        super().check()
        if self.reason not in (1, 2):
            raise ProtocolError("reason")


PAYLOADS = {kind.TYPE: kind for kind in (Beat, Ack, Challenge, Bye)}


# --- Between receivers (section 8) ---------------------------------------------------------------------------------

QUESTION, ANSWERS = 1, 2
NOT_MINE, SILENT, HEARD, LATE = 1, 2, 3, 4
LONGER = 2 ** 32 - 1
STATES = {0: "unknown", 2: "down", 3: "admin"}
CAUSES = dict(enumerate("silent unreachable frozen reboot agent_died agent_stopped shutdown maintenance receiver_off receiver_isolated "
                        "receiver_overloaded receiver_path clock_step path forgotten moved".split(), 1))


@dataclasses.dataclass
class PeerHead(_Payload):
    LAYOUT = "!QQ16sQ16sQ"
    session: int
    counter: int
    echo: bytes = NO_ECHO
    challenged: int = 0
    challenge: bytes = NO_ECHO
    heard: int = 0

    def check(self):
        super().check()
        if self.session == 0:
            raise ProtocolError("session")


@dataclasses.dataclass
class Question:
    LAYOUT = "!QII2x"
    agent_start: int
    number: int
    age_ms: int
    host: str

    def encode(self):
        return struct.pack(self.LAYOUT, self.agent_start, self.number, self.age_ms) + self.host.encode("ascii")

    @classmethod
    def decode(cls, body):
        fixed = struct.calcsize(cls.LAYOUT)
        host = body[fixed:].decode("latin-1")
        return cls(*struct.unpack_from(cls.LAYOUT, body), host) if len(body) > fixed and name_is_valid(host) else None


@dataclasses.dataclass
class Answer:
    LAYOUT = "!BIIBB"
    kind: int
    age_ms: int = 0
    back_ms: int = LONGER
    state: int = 2
    cause: int = 0

    def encode(self):
        return struct.pack(self.LAYOUT, self.kind, self.age_ms, self.back_ms, self.state, self.cause)


def encode_answers(counter, answers):
    return struct.pack("!Q", counter) + b"".join(answer.encode() for answer in answers)


def decode_answers(body):
    """(counter of the datagram that asked, answers)"""
    whole = len(body[8:]) // struct.calcsize(Answer.LAYOUT) * struct.calcsize(Answer.LAYOUT)
    return struct.unpack_from("!Q", body)[0], [Answer(*row) for row in struct.iter_unpack(Answer.LAYOUT, body[8:8 + whole])]


def encode_items(items):
    """items: (type, body)"""
    return b"".join(struct.pack("!BH", kind, len(body)) + body for kind, body in items)


def decode_items(payload):
    """Of what stands behind the head; until the zeros, or what does not fit."""
    items = []
    while len(payload) >= 3 and payload[0] != 0:
        kind, length = struct.unpack_from("!BH", payload)
        if len(payload) < 3 + length:
            break
        items.append((kind, payload[3:3 + length]))
        payload = payload[3 + length:]
    return items


def peer_payload(sender, head, items=b""):
    return head.encode() + items + bytes(100 - len(sender))


@dataclasses.dataclass
class PeerDatagram:
    """What a peer said."""
    head: PeerHead
    items: list
    at: float
    size: int

    def questions(self):
        """None for one that cannot be understood."""
        return [Question.decode(body) for kind, body in self.items if kind == QUESTION]

    def answers(self):
        """counter -> answers"""
        return dict(decode_answers(body) for kind, body in self.items if kind == ANSWERS)


class PeerClient:
    """A receiver that only talks to one other receiver, and says what it is told to.

    It owns a UDP socket from its making on, so that the other one can be told its address before it starts. Nothing is sent by itself
    except by `receive`, which proves its session when challenged, and challenges the other's; and answers questions by `answer_question`
    if that is set (a function of a Question that returns an Answer).
    """

    def __init__(self, site_key, name, peer):
        self.site_key, self.name, self.peer = site_key, name, peer
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = self.socket.getsockname()
        self.to = None  # address of the other, as it is spoken to
        self.secret = os.urandom(32)
        self.answer_question = None
        self.their_session, self.sessions_proven, self.window, self.heard = None, 0, set(), 0
        self.sent = None
        self.new_session()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def new_session(self):
        self.session, self.counter, self.echo = Client._random(), 0, NO_ECHO
        self.challenged = 0

    def _value(self, session):
        name = self.peer.encode()
        return blake2b(16, self.secret, bytes([len(name)]) + name + struct.pack("!QQ", session, self.sessions_proven))

    def head(self, **fields):
        """The next one."""
        self.counter += 1
        value = self._value(self.challenged) if self.challenged else NO_ECHO
        own = {"session": self.session, "counter": self.counter, "echo": self.echo, "challenged": self.challenged,
               "challenge": value, "heard": self.heard}
        return PeerHead(**dict(own, **fields))

    def send_raw(self, datagram):
        self.sent = datagram
        self.socket.sendto(datagram, self.to)

    def send(self, *items, **fields):
        """items: (type, body). Any field of the head can be set by its name. Returns the head."""
        head = self.head(**fields)
        self.send_raw(seal_peer(self.name, self.peer, peer_payload(self.name, head, encode_items(items)), self.site_key))
        return head

    def ask(self, *questions):
        return self.send(*((QUESTION, question.encode()) for question in questions))

    def answer(self, counter, *answers):
        return self.send((ANSWERS, encode_answers(counter, answers)))

    def _take(self, head):
        """Whether its items may be believed."""
        if head.session == self.their_session:
            if head.counter in self.window or head.counter + 1024 <= self.heard:
                return False
        elif head.echo == self._value(head.session):
            self.their_session, self.challenged, self.window, self.heard = head.session, 0, set(), 0
            self.sessions_proven += 1
        else:
            self.challenged = head.session
            return False
        self.window.add(head.counter)
        self.heard = max(self.heard, head.counter)
        return True

    def _react(self, datagram):
        head = datagram.head
        challenged, proven = self.challenged, self.their_session
        believed = self._take(head)
        is_new = head.challenged == self.session and head.challenge != self.echo
        if is_new and (believed or proven is None):
            self.echo = head.challenge
        items = []
        if believed and self.answer_question and datagram.questions():
            answers = [self.answer_question(question) if question else Answer(NOT_MINE) for question in datagram.questions()]
            items = [(ANSWERS, encode_answers(head.counter, answers))]
        if items or is_new or (self.challenged and (self.challenged != challenged or not believed)):
            self.send(*items)
        return believed

    def receive(self, timeout=2.0):
        """The next PeerDatagram that can be believed; None if none comes in `timeout` seconds. `self.to` becomes where it came from."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                raw, self.to = self.socket.recvfrom(4096)
                _, payload = open_peer(raw, self.name, self.site_key)
                head = PeerHead.decode(payload)
            except socket.timeout:
                return None
            except ProtocolError:
                continue
            datagram = PeerDatagram(head, decode_items(payload[64:]), time.monotonic(), len(raw))
            if self._react(datagram):
                return datagram
        return None


# --- Spreading (section 7) ----------------------------------------------------------------------------------------

def spread_weight(host, receiver):
    """receiver: "name:port" or "[address]:port", in lower case."""
    text = bytes([len(host)]) + host.encode() + receiver.encode()
    return hashlib.blake2b(text, digest_size=16, key=b"twobeat spread 1").digest()


def spread(host, receivers, wanted):
    """The receivers that the host speaks to."""
    return set(sorted(receivers, key=lambda receiver: spread_weight(host, receiver), reverse=True)[:wanted])


# --- A client (section 4) ------------------------------------------------------------------------------------------

class Client:
    """An agent that does only what it is told, for talking to a real receiver.

    It owns a UDP socket; use it in a `with` block. Each send_* makes a new counter and takes over the latest challenge
    value unless told otherwise; any field of the payload can be set by its name. Nothing is sent by itself, except in
    `beat_until_acked`, which answers challenges.
    """

    def __init__(self, key_file, address, agent_start=None):
        """key_file: a KeyFile of kind "host"; address: (host, port) of the receiver."""
        self.key = key_file
        family, kind, _, _, self.address = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM)[0]
        self.socket = socket.socket(family, kind)
        self.socket.connect(self.address)
        self.boot_id = uuid.uuid4().bytes
        self.agent_start = agent_start or self._random()
        self.number = 0
        self.sent = None  # the bytes of the latest datagram, for sending them again
        self.new_session()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    @staticmethod
    def _random():
        return int.from_bytes(os.urandom(8), "big") | 1

    def new_session(self):
        self.session = self._random()
        self.counter = 0
        self.echo = NO_ECHO

    def send_raw(self, datagram):
        self.sent = datagram
        try:
            self.socket.send(datagram)
        except ConnectionRefusedError:
            pass  # an earlier datagram found nobody; this one is gone too, as it would be anywhere else

    def _send(self, payload):
        self.send_raw(seal(payload.TYPE, self.key.generation, self.key.name, payload.encode(), self.key.key))
        return payload

    def _common(self, fields):
        self.counter += 1
        return dict({"session": self.session, "counter": self.counter, "agent_start": self.agent_start,
                     "echo": self.echo}, **fields)

    def send_beat(self, **fields):
        """Sends the next beat, or with number=N an old one again. Returns the Beat."""
        if "number" not in fields:
            self.number += 1
            fields["number"] = self.number
        uptime_ms = int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)
        own = {"boot_id": self.boot_id, "uptime_ms": uptime_ms, "run_ms": uptime_ms,
               "metrics": [math.nan] * len(METRICS)}
        return self._send(Beat(**dict(own, **self._common(fields))))

    def send_bye(self, **fields):
        return self._send(Bye(**self._common(fields)))

    def receive(self, timeout=2.0):
        """The next Ack or Challenge that opens and is for this session; None if none comes in `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                header, payload = open_datagram(self.socket.recv(2048), self.key.key)
                answer = PAYLOADS[header.type].decode(payload)
            except ConnectionRefusedError:
                continue
            except socket.timeout:
                return None
            except ProtocolError:
                continue
            if header.type not in (ACK, CHALLENGE) or header.name != self.key.name or answer.session != self.session:
                continue
            if not 1 <= answer.counter <= self.counter:
                continue
            if header.type == CHALLENGE:
                self.echo = answer.value
            return answer
        return None

    def beat_until_acked(self, timeout=5.0, **fields):
        """Sends one beat, answers challenges, sends again every 0.3 s. Returns the Ack; raises TimeoutError."""
        deadline = time.monotonic() + timeout
        beat = self.send_beat(**fields)
        fields["number"] = beat.number
        while time.monotonic() < deadline:
            answer = self.receive(min(0.3, timeout))
            if isinstance(answer, Ack):
                return answer
            self.send_beat(**fields)
        raise TimeoutError(f"beat {beat.number} of {self.key.name} was not acked in {timeout} s")


# --- Self-test -----------------------------------------------------------------------------------------------------

def self_test():
    """Checks the cryptography, and that what is sealed opens, and only then. Returns the count of published vectors."""
    count = aead.self_test()
    key = bytes(range(32))
    datagram = seal(ACK, 1, "h", Ack(1, 2, 3).encode(), key)
    if Ack.decode(open_datagram(datagram, key)[1]) != Ack(1, 2, 3):
        raise AssertionError("an ack did not come back")
    for at in range(len(datagram)):
        broken = bytearray(datagram)
        broken[at] ^= 1
        try:
            open_datagram(bytes(broken), key)
        except ProtocolError:
            continue
        raise AssertionError(f"opened with byte {at} changed")
    return count


if __name__ == "__main__":
    print(f"protocol.py: {self_test()} published vectors and the round trip hold")
