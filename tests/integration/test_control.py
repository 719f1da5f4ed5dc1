#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_control.py - the control socket of a real receiver before clients that are wrong, rude or not entitled, and who may read
the record."""
import json
import os
import pathlib
import socket
import sqlite3
import stat
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from world import RECEIVER, TWOBEAT, World, check, equal, need_root, run_tests, wait_until  # noqa: E402  pylint: disable=wrong-import-position

LINE_MAX = 64 * 1024
OWNER, GROUP, MEMBER, STRANGER = 12345, 23456, 12346, 12347


class Caller:
    """A connection to the socket, for sending anything."""

    def __init__(self, receiver):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(receiver.data / "receiver.sock"))  # waits while the queue of newcomers is full
        self.socket.settimeout(10)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, text):
        self.socket.sendall(text if isinstance(text, bytes) else text.encode())

    def line(self):
        """The next answer; None if the receiver hung up."""
        try:
            line = self.file.readline()
        except ConnectionResetError:
            return None
        return json.loads(line) if line else None

    def ask(self, text):
        self.send(text if isinstance(text, bytes) else text + "\n")
        return self.line()


def with_hosts(world, *names, **settings):
    receiver = world.receiver(**settings).start()
    for name in names:
        with receiver.client(name) as client:
            client.beat_until_acked(interval_ms=600000)
    return receiver


def windows(receiver):
    db = sqlite3.connect(f"file:{receiver.data}/receiver.db?mode=ro", uri=True)
    try:
        return db.execute("SELECT pattern, ends FROM maintenance ORDER BY id").fetchall()
    finally:
        db.close()


GARBAGE = [b"garbage", b"", b"{", b"[]", b"null", b"5", b'"status"', b"{}", b'{"op":5}', b'{"op":null}',
           b'{"op":"none"}', b'{"op":"status"} x',
           b'{"op":"status\x00"}', b"\x00\x01\x02", b"\xff\xfe", b'{"op":"stat\xffus"}', b"[" * 60000, b'{"a":' * 10000,
           b'{"op":"%n%s%s"}',
           b'{"op":"status","hosts":"web1"}', b'{"op":"status","hosts":{}}', b'{"op":"status","hosts":[5]}',
           b'{"op":"status","hosts":[null,[]]}']
WRONG_CHANGES = [{}, {"hosts": []}, {"hosts": "web1"}, {"hosts": {}}, {"hosts": [5]}, {"hosts": ["web1", 5]},
                 {"hosts": ["web1"], "until": 1}, {"hosts": ["web1"], "until": -1},
                 {"hosts": ["web1"], "until": 2**62}, {"hosts": ["web1"], "until": "tomorrow"},
                 {"hosts": ["web1"], "until": 1.5},
                 {"hosts": ["web1"], "reason": 5}, {"hosts": ["x" * 300]}]


def test_garbage(rng):
    with World() as world:
        receiver = with_hosts(world, "web1", "web2")
        for text in GARBAGE:
            with Caller(receiver) as caller:
                answer = caller.ask(text + b"\n")
                check(answer and answer["ok"] is False and answer["error"], f"{text[:60]!r} is answered by {answer}")
                answer = caller.ask('{"op":"status"}')  # the connection is as good as before
                check(answer and answer["ok"] and len(answer["hosts"]) == 2, f"status after {text[:60]!r}: {answer}")
        for members in WRONG_CHANGES:
            with Caller(receiver) as caller:
                answer = caller.ask(json.dumps(dict({"op": "maintenance_start"}, **members)))
                check(answer and answer["ok"] is False and answer["error"],
                      f"maintenance {members} is answered by {answer}")
        for members in ({}, {"hosts": []}, {"hosts": "web1"}, {"hosts": [5]}, {"hosts": ["web9"]}):
            with Caller(receiver) as caller:
                answer = caller.ask(json.dumps(dict({"op": "maintenance_end"}, **members)))
                check(answer and answer["ok"] is False, f"end of maintenance {members} is answered by {answer}")
        equal(windows(receiver), [], "maintenance after all that")
        for _ in range(300):
            with Caller(receiver) as caller:
                caller.send(rng.randbytes(rng.randrange(2000)) + b"\n")
                check(caller.line()["ok"] is False, "random bytes")
        check("hosts" in receiver.json("status"), "the receiver goes on")
        equal(len(receiver.lines()), len([line for line in receiver.lines() if "listening" in line
                                          or "record in" in line or "->" in line]),
              f"lines in the log: {receiver.lines()}")
        receiver.stop()


def test_lines(_):
    """Lines in pieces, several at once, too long, and never finished."""
    with World() as world:
        receiver = with_hosts(world, "web1")
        question = '{"op":"status","hosts":["web1"]}\n'
        with Caller(receiver) as caller:
            for byte in question:
                caller.send(byte)
            equal(caller.line()["hosts"][0]["host"], "web1", "byte by byte")
            caller.send(question * 3 + question[:10])
            for _ in range(3):
                equal(caller.line()["hosts"][0]["host"], "web1", "three at once")
            caller.send(question[10:])
            equal(caller.line()["hosts"][0]["host"], "web1", "the rest of the fourth")
            longest = question[:-1] + " " * (LINE_MAX - len(question)) + "\n"
            equal(len(longest), LINE_MAX, "the longest line")
            equal(caller.ask(longest[:-1])["ok"], True, "the longest line")
        for text in (" " * LINE_MAX, "x" * (3 * LINE_MAX), '{"op":"status"}' + " " * LINE_MAX):
            with Caller(receiver) as caller:
                try:
                    caller.send(text)
                except (BrokenPipeError, ConnectionResetError):
                    pass
                answer = caller.line()
                check(answer is None or answer["ok"] is False, f"a line of {len(text)} bytes is answered by {answer}")
                equal(caller.line(), None, "after a line too long the receiver hangs up")
        for text in ('{"op":"sta', "", '{"op":"status"}'):
            with Caller(receiver) as caller:
                caller.send(text)
                caller.socket.shutdown(socket.SHUT_WR)
                equal(caller.line(), None, f"answer to {text!r} without an end")
        receiver.stop()


def test_closing_before_the_answer(_):
    with World() as world:
        receiver = with_hosts(world, "web1", "web2")
        for at in range(300):
            receiver.check_running()
            caller = Caller(receiver)
            caller.send(('{"op":"status"}\n', '{"op":"flush"}\n',
                         '{"op":"maintenance_start","hosts":["web1"],"until":%d}\n' % (time.time() + 3600),
                         '{"op":"flush"}\n{"op":"status"}\n', '{"op":"maintenance_end","hosts":["web1"]}\n')[at % 5])
            if at % 3 == 0:
                caller.socket.shutdown(socket.SHUT_RDWR)
            caller.close()
        receiver.check_running()
        wait_until(lambda: len(windows(receiver)) == 60, 10, lambda: f"what was asked is done: {len(windows(receiver))} windows")
        receiver.twobeat("flush")
        receiver.stop()


def test_many_connections(_):
    """Those who only hold a connection must not keep others out."""
    with World() as world:
        receiver = with_hosts(world, "web1")
        callers = [Caller(receiver) for _ in range(400)]
        for _ in range(3):
            equal([h["host"] for h in receiver.json("status")["hosts"]], ["web1"], "status beside 400 idle connections")
        for caller in callers:
            caller.close()
        for _ in range(200):
            with Caller(receiver) as caller:
                check(caller.ask('{"op":"status"}')["ok"], "one after the other")
        if os.geteuid() == 0:
            wait_until(lambda: len(os.listdir(f"/proc/{receiver.pid}/fd")) < 50, 10, "all handles are given back")
        receiver.stop()


def test_never_reading(_):
    """A caller that asks and asks and does not read costs no more than a few answers."""
    with World() as world:
        receiver = with_hosts(world, *(f"web{i}" for i in range(20)))
        check(receiver.try_ask("status"), "it answers")
        before = receiver.rss_bytes()
        with Caller(receiver) as caller:
            caller.socket.settimeout(2)
            try:
                for _ in range(2000):
                    caller.send('{"op":"status"}\n' * 100)
            except OSError:
                pass  # it hung up, or reads no more
            grown = receiver.rss_bytes() - before
            check(grown < 16 << 20, f"grew by {grown >> 20} MiB")
            check(receiver.try_ask("status"), "others are answered")
        receiver.stop()


def as_user(uid, gid, *words):
    return subprocess.run([str(TWOBEAT), *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, user=uid, group=gid,
                          extra_groups=[], check=False)


def one_line(result, code, what):
    equal((result.returncode, result.stdout, result.stderr.count("\n")), (code, "", 1), f"{what}: {result.stderr}")
    return result.stderr


def test_rights(_):
    need_root()
    with World() as world:
        receiver = world.receiver()
        os.chown(receiver.data, OWNER, GROUP)
        receiver.start()
        with receiver.client("web1") as client:
            for _ in range(3):
                client.beat_until_acked(interval_ms=600000)
        data = ("--data", receiver.data)
        receiver.twobeat("flush")
        for path in (receiver.data, *receiver.data.rglob("*")):
            mode = path.lstat()
            equal((mode.st_uid, mode.st_gid, mode.st_mode & 0o027 & ~(0o020 if stat.S_ISSOCK(mode.st_mode) else 0)),
                  (OWNER, GROUP, 0), f"owner and mode of {path}")

        def reads(uid, what):
            for words in (("status",), ("uptime",), ("outages",), ("verify",), ("host", "list"), ("maintenance", "list")):
                result = as_user(uid, GROUP, *words, *data)
                equal((result.returncode, result.stderr), (0, ""), f"{words} of {what}")
            check('"web1"' in as_user(uid, GROUP, "status", "--json", *data).stdout,
                  f"the host in the status of {what}")

        # While it runs: reading by the group, changes by root and the owner.
        reads(MEMBER, "a member of the group")
        soon = int(time.time()) + 60
        for words in (("maintenance", "start", "web1"), ("maintenance", "end", "web1"), ("maintenance", "cancel", 1), ("rebuild", "web1"),
                      ("maintenance", "plan", "web1", "--from", soon, "--to", soon + 60)):
            line = one_line(as_user(MEMBER, GROUP, *words, *data), 3, f"{words} of a member of the group")
            check("root and the receiver's own user" in line, line)
        equal(windows(receiver), [], "maintenance of one who may not")
        for words in (("status",), ("uptime",), ("flush",), ("maintenance", "start", "web1")):
            one_line(as_user(STRANGER, STRANGER, *words, *data), 3, f"{words} of a stranger")
        equal(as_user(OWNER, GROUP, "maintenance", "start", "web1", "--for", "1h", *data).returncode, 0,
              "the owner may")
        equal(len(windows(receiver)), 1, "maintenance")

        for end in (receiver.stop, receiver.kill):
            end()
            reads(MEMBER, f"a member of the group after {end.__name__}")
            one_line(as_user(STRANGER, STRANGER, "uptime", *data), 3, f"a stranger after {end.__name__}")
            for words in (("maintenance", "start", "web1"), ("maintenance", "cancel", 1), ("rebuild", "web1")):
                one_line(as_user(MEMBER, GROUP, *words, *data), 3, f"{words} by a member after {end.__name__}")
            equal({path.lstat().st_uid for path in receiver.data.rglob("*")}, {OWNER}, "owners of the files")
            receiver.start()
        reads(MEMBER, "a member of the group after the start")
        receiver.stop()


if __name__ == "__main__":
    check(RECEIVER.exists(), f"{RECEIVER} is not built")
    sys.exit(run_tests("control", globals()))
