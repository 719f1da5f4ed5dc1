#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_wrong.py - everything that can be wrong at the start of a daemon or with a key.

Each time the same is asked: one line on standard error that says what, where, and what to do; an exit status other than 0;
and nothing created or changed. Programs run as an ordinary user, so that missing rights are missed also by root's test runs.
"""
import os
import pathlib
import re
import shutil
import socket
import sqlite3
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import protocol  # noqa: E402  pylint: disable=wrong-import-position
from world import (AGENT, NOBODY, RECEIVER, TWOBEAT, World, check, equal, own, quoted,
                   run_tests,  # noqa: E402  pylint: disable=wrong-import-position
                   wait_until, write_private)

# What a start that fails does not free is left to the end of the process; the leak checker need not tell of it.
ENVIRONMENT = dict(os.environ, ASAN_OPTIONS="detect_leaks=0", LC_ALL="C.UTF-8")
ZEROS = "0" * 64


def snapshot(folder):
    """Everything below: kind and mode, owner, content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        stat = path.lstat()
        if path.name == "receiver.db-shm" or path.name == "receiver.db-wal" and stat.st_size == 0:
            continue  # SQLite needs them to read a database, and they say nothing
        content = stat.st_mtime_ns, stat.st_size  # of what cannot be read
        if path.is_dir():
            content = None
        elif os.access(path, os.R_OK):
            content = path.read_bytes()
        found[str(path.relative_to(folder))] = (oct(stat.st_mode), stat.st_uid, stat.st_gid, content)
    return found


class Place:
    """A folder in which all is well, until a case spoils something; with copies of the programs that any user may run."""

    def __init__(self, world):
        self.folder = own(world.folder)
        self.programs = {}
        for program in (RECEIVER, AGENT, TWOBEAT):
            self.programs[program.name] = pathlib.Path(shutil.copy(program, world.folder / program.name))
        self.work = self.folder / "work"
        self.site_key = world.site_key
        self.fresh()

    def fresh(self):
        for path in self.work.rglob("*"):
            if path.is_dir():
                path.chmod(0o700)
        shutil.rmtree(self.work, ignore_errors=True)
        own_dir(self.work)
        self.data, self.state = own_dir(self.work / "data"), own_dir(self.work / "state")
        self.site = write_private(self.work / "site.key", protocol.KeyFile("site", self.site_key).line() + "\n")
        key = protocol.KeyFile("host", protocol.derive_host_key(self.site_key, 1, "web1"), "web1", 1)
        self.key = write_private(self.work / "host.key", key.line() + "\n")
        self.config = self.work / "daemon.conf"
        self.receiver_conf()

    def receiver_conf(self, *more, **changes):
        settings = dict({"name": "recv", "listen": ["127.0.0.1:0"], "data": self.data, "site_key_file": [self.site]},
                        **changes)
        self.write(settings, more)

    def agent_conf(self, *more, **changes):
        settings = dict({"receivers": ["127.0.0.1:1"], "key_file": self.key, "interval": "1s", "state_dir": self.state},
                        **changes)
        self.write(settings, more)

    def write(self, settings, more):
        write_private(self.config, "".join(f"{k} = {quoted(v)}\n" for k,
                                           v in settings.items() if v is not None) + "".join(f"{m}\n" for m in more))

    def run(self, program, *words):
        user = NOBODY.pw_uid if os.geteuid() == 0 else None
        words = [self.programs[program], *map(str, words)]
        try:
            return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
                                  env=ENVIRONMENT, user=user,
                                  group=user and NOBODY.pw_gid, extra_groups=[] if user else None, cwd="/", check=False)
        except subprocess.TimeoutExpired as ran:  # it was started all the same, and is killed now
            return subprocess.CompletedProcess(words, 0, "", f"still runs: {(ran.stderr or b'').decode()}")

    def refuses(self, program, words, wanted, what, code=None):
        """wanted: regular expressions that the line must hold."""
        before = snapshot(self.work)
        result = self.run(program, *words)
        shown = f"{what}: exit {result.returncode}, {result.stderr!r}"
        check(result.returncode == code if code else result.returncode > 0, shown)
        check(result.stderr.count("\n") == 1 and result.stderr.endswith("\n"), f"not one line, {shown}")
        check(result.stderr.startswith(f"{program}: "), f"does not say who speaks, {shown}")
        equal(result.stdout, "", f"standard output of {what}")
        for expression in wanted:
            check(re.search(expression, result.stderr), f"does not say {expression!r}, {shown}")
        after = snapshot(self.work)
        check(after == before, f"{what} changed {[k for k in after if after[k] != before.get(k)] + [k for k in before if k not in after]}")


def own_dir(path):
    path.mkdir(mode=0o750)
    return own(path)


def spoil_mode(path, mode):
    return lambda: path.chmod(mode)


def both_ways(place, program, wanted, what):
    """Checked with -t, and started."""
    for words in (("-t", "-c", place.config), ("-c", place.config)):
        place.refuses(program, words, wanted, f"{program} {words[0]}: {what}")


CONFIG_FILES = [  # what, spoils it, the line says
    ("no such file", lambda p: p.config.unlink(), "No such file.*; "),
    ("readable by others", lambda p: p.config.chmod(0o644), "others may.*chmod o-rwx"),
    ("no permission", lambda p: p.config.chmod(0), "Permission denied.*; "),
    ("a directory", lambda p: (p.config.unlink(), p.config.mkdir(mode=0o700), own(p.config)), "directory"),
    ("a directory for all", lambda p: (p.config.unlink(), p.config.mkdir(mode=0o755), own(p.config)),
     "directory; name the file"),
    ("a file of zero bytes", lambda p: p.config.write_bytes(bytes(100)), "zero byte.*; "),
    ("a file too long", lambda p: p.config.write_text("#" * (1 << 20)), "longer than.*; "),
]


def test_config_files(_):
    with World() as world:
        place = Place(world)
        for program, conf in (("twobeat-receiver", place.receiver_conf), ("twobeat-agent", place.agent_conf)):
            for what, spoil, line in CONFIG_FILES:
                place.fresh()
                conf()
                spoil(place)
                both_ways(place, program, (re.escape(str(place.config)), line), f"configuration is {what}")


RECEIVER_SETTINGS = [  # settings, lines put behind, the line says; {conf} is followed by the number of the line
    ({}, ['colour = "red"'], r"{conf}:5: .*colour"),
    ({"planned_limit": "30 minutes"}, [], r"{conf}:5: planned_limit .*30 minutes.*30m"),
    ({"planned_limit": "400d"}, [], r"{conf}:5: planned_limit"),
    ({"planned_limit": "-1s"}, [], r"{conf}:5: planned_limit"),
    ({"flush_interval": "1s"}, [], r"{conf}:5: flush_interval.*5m"),
    ({"outage_edges": "exact"}, [], r"{conf}:5: outage_edges.*estimate"),
    ({"listen": ["127.0.0.1:99999"]}, [], r"{conf}:2: .*127.0.0.1:99999.*; write"),
    ({"listen": ["::1:2004"]}, [], r"{conf}:2: .*; write"),
    ({"listen": ["[::1"]}, [], r"{conf}:2: .*; write"),
    ({"listen": []}, [], r"{conf}: listen"),
    ({"data": ""}, [], r"{conf}:3: data is empty; "),
    ({"site_key_file": []}, [], r"{conf}: site_key_file"),
    ({"generations": [0]}, [], r"{conf}:5: generation 0"),
    ({"generations": [256]}, [], r"{conf}:5: generation 256"),
    ({"generations": []}, [], r"{conf}: generations is empty.*; "),
    ({"revoke": ["a/b"]}, [], r"{conf}:5: revoke .*a/b"),
    ({"revoke": ["web1#0"]}, [], r"{conf}:5: revoke .*web1#0"),
    ({}, ['time_zone = "Europe'], r"{conf}:"),
    ({"time_zone": "Europe/Atlantis"}, [], r"{conf}:5: time_zone .*Europe/Atlantis.*; write"),
    ({"time_zone": "Europe"}, [], r"{conf}:5: time_zone"),
    ({"time_zone": ""}, [], r"{conf}:5: time_zone"),
    ({"time_zone": "/etc/localtime"}, [], r"{conf}:5: time_zone"),
    ({"time_zone": "../../../etc/passwd"}, [], r"{conf}:5: time_zone"),
    ({"time_zone": "x" * 300}, [], r"{conf}:5: time_zone"),
    ({}, ["}"], r"{conf}:5: "),
    ({}, ["name = {1, 2}"], r"{conf}:5: "),
]

AGENT_SETTINGS = [
    ({}, ['listen = "0.0.0.0:1"'], r"{conf}:5: .*listen"),
    ({"interval": "1"}, [], r"{conf}:3: interval .*250ms"),
    ({"interval": "100ms"}, [], r"{conf}:3: interval .*250ms"),
    ({"interval": "2h"}, [], r"{conf}:3: interval .*75m"),
    ({"interval": "1e3s"}, [], r"{conf}:3: interval"),
    ({"receivers": []}, [], r"{conf}: no receivers; name them"),
    ({"receivers": None}, [], r"{conf}: no receivers; name them"),
    ({"receivers": ["a:b:c"]}, [], r"{conf}:1: .*a:b:c.*; write"),
    ({"receivers": [":2004"]}, [], r"{conf}:1: .*; write"),
    ({"receivers": ["host:0"]}, [], r"{conf}:1: .*; write"),
    ({"receivers": ["host:70000"]}, [], r"{conf}:1: .*; write"),
    ({"receivers": ["::1"]}, [], r"{conf}:1: .*; write"),
    ({"receivers": ["a:1", "a:1"]}, [], r"{conf}: .*twice; "),
    ({"redundancy": -1}, [], r"{conf}:\d: redundancy = -1 is not between 0 and 16"),
    ({"state_dir": ""}, [], r"{conf}:4: state_dir is empty; "),
    ({}, ["interval = "], r"{conf}:"),
]


def test_settings(_):
    with World() as world:
        place = Place(world)
        for program, conf, table in (("twobeat-receiver", place.receiver_conf, RECEIVER_SETTINGS),
                                     ("twobeat-agent", place.agent_conf, AGENT_SETTINGS)):
            for settings, more, line in table:
                place.fresh()
                conf(*more, **settings)
                both_ways(place, program, (line.format(conf=re.escape(str(place.config))),), f"{settings} {more}")
            place.fresh()
            conf()
            result = place.run(program, "-t", "-c", place.config)
            equal(result.returncode, 0, f"{program} -t with all well: {result.stderr}")
            place.refuses(program, ("-x",), ("-x.*; try",), f"{program} with an unknown option", code=2)
            place.refuses(program, ("-c",), ("-c.*; try",), f"{program} without a value", code=2)
            place.refuses(program, ("surplus",), ("surplus.*; try",), f"{program} with an argument", code=2)


KEY_FILES = [
    ("missing", lambda key, _: key.unlink(), "No such file.*; "),
    ("readable by others", lambda key, _: key.chmod(0o604), "others may.*chmod o-rwx"),
    ("not readable", lambda key, _: key.chmod(0), "Permission denied.*; "),
    ("a directory", lambda key, _: (key.unlink(), key.mkdir(mode=0o700), own(key)), "directory; "),
    ("a key of zeros", lambda key, line: key.write_text(line[:-64] + ZEROS + "\n"), "zero|placeholder"),
    ("empty", lambda key, _: key.write_text("# nothing\n"), "."),
    ("cut short", lambda key, line: key.write_text(line[:-1] + "\n"), "."),
    ("with upper case digits", lambda key, line: key.write_text(line[:-64] + "AB" * 32 + "\n"), "."),
    ("two keys", lambda key, line: key.write_text(line + "\n" + line + "\n"), "."),
    ("another kind of key", lambda key, line: key.write_text("twobeat-view-key-1 " + line[-64:] + "\n"), "."),
    ("random bytes", lambda key, _: key.write_bytes(b"\xff\xfe\x01" * 40), "."),
]


def test_key_files(_):
    with World() as world:
        place = Place(world)
        for program, conf, attribute in (("twobeat-receiver", place.receiver_conf, "site"),
                                         ("twobeat-agent", place.agent_conf, "key")):
            for what, spoil, line in KEY_FILES:
                place.fresh()
                conf()
                key = getattr(place, attribute)
                secret = key.read_text().strip()
                spoil(key, secret)
                both_ways(place, program, (re.escape(str(key)), line), f"key is {what}")
                check(secret[-64:] not in place.run(program, "-t", "-c", place.config).stderr,
                      f"key that is {what} in an error line")
        for name in ("A", "a/b", "a%n", "a..b", ".a", "a" * 101):
            place.fresh()
            place.agent_conf()
            place.key.write_text(f"twobeat-host-key-1 {name} 1 {'5' * 64}\n")
            both_ways(place, "twobeat-agent", (re.escape(str(place.key)),), f"key of a host called {name}")


def make_database(place, sql):
    db = sqlite3.connect(place.data / "receiver.db")
    db.executescript(sql)
    db.close()
    own(place.data / "receiver.db")


def write_owned(path, content):
    path.write_bytes(content)
    own(path)


def spoil_database(place, spoil):
    """A real one, from a receiver that was stopped in order."""
    with World() as world:
        receiver = world.receiver().start()
        with receiver.client("web1") as client:
            client.beat_until_acked()
        wait_until(lambda: receiver.json("host", "list")["hosts"], 10, "the host is stored")
        receiver.stop()
        write_owned(place.data / "receiver.db", spoil((receiver.data / "receiver.db").read_bytes()))


DATA = [
    ("missing", lambda p: p.data.rmdir(), "No such file.*; "),
    ("a file", lambda p: (p.data.rmdir(), write_owned(p.data, b"")), "not a directory"),
    ("not writable", lambda p: p.data.chmod(0o500), "Permission denied.*; "),
    ("not to be entered", lambda p: p.data.chmod(0o600), "Permission denied.*; "),
    ("with a file for hosts", lambda p: write_owned(p.data / "hosts", b""), "hosts"),
    ("with a database of another version", lambda p: make_database(p, "CREATE TABLE a (b); PRAGMA user_version = 99;"),
     "version 99.*; "),
    ("with the database of something else", lambda p: make_database(p, "CREATE TABLE hosts (b); CREATE TABLE c (d);"),
     r"receiver\.db"),
    ("with a damaged database", lambda p: write_owned(p.data / "receiver.db", b"no database at all " * 300),
     r"receiver\.db"),
    ("with a database cut short", lambda p: spoil_database(p, lambda content: content[:4096]), r"receiver\.db"),
    ("with a database cut within its first page", lambda p: spoil_database(p, lambda content: content[:700]),
     r"receiver\.db"),
    ("with a database full of rubbish", lambda p: spoil_database(p, lambda c: c[:4096] + b"\xff" * (len(c) - 4096)),
     r"receiver\.db"),
    ("with a directory for a database", lambda p: own_dir(p.data / "receiver.db"), r"receiver\.db"),
    ("with a database that cannot be read", lambda p: (write_owned(p.data / "receiver.db", b""),
                                                       (p.data / "receiver.db").chmod(0)),
     r"receiver\.db.*denied"),
]


def test_data(_):
    with World() as world:
        place = Place(world)
        for what, spoil, line in DATA:
            place.fresh()
            if what.startswith("with"):  # the lock must be held before anything else may be looked at
                write_owned(place.data / "receiver.lock", b"")
                if "hosts" not in what:
                    own_dir(place.data / "hosts")
            spoil(place)
            place.refuses("twobeat-receiver", ("-c", place.config), (re.escape(str(place.data)), line),
                          f"data directory {what}")


def test_addresses(_):
    with World() as world:
        place = Place(world)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            for address, line in ((f"127.0.0.1:{port}", "in use; .*listen"), ("203.0.113.1:0", "."),
                                  ("localhost:0", r":\d+: .*not understood; write a numeric address")):
                place.fresh()
                place.receiver_conf(listen=[address])
                place.refuses("twobeat-receiver", ("-c", place.config), (re.escape(address), line),
                              f"listening on {address}")
            place.fresh()
            place.receiver_conf(listen=["127.0.0.1:0", f"127.0.0.1:{port}"])
            place.refuses("twobeat-receiver", ("-c", place.config), (re.escape(f"127.0.0.1:{port}"), "in use; "),
                          "one of two addresses in use")


def test_second_receiver(_):
    with World() as world:
        place = Place(world)
        first = world.receiver().start()
        database = first.data / "receiver.db"
        place.receiver_conf(data=first.data)
        inode, names = (first.data / "receiver.sock").stat().st_ino, sorted(os.listdir(first.data))
        place.refuses("twobeat-receiver", ("-c", place.config), (re.escape(str(first.data)), "; "),
                      "a second receiver on the same data")
        equal(((first.data / "receiver.sock").stat().st_ino, sorted(os.listdir(first.data))), (inode, names),
              "the socket of the first")
        check(first.try_ask("status"), "the first goes on")
        check(database.stat().st_size > 0, "its database")
        first.stop()


def test_key_command(_):
    with World() as world:
        place = Place(world)
        out = place.work / "new.key"
        base = ("key", "host", "--site-key", place.site, "-o", out)
        for name in ("a/b", "../a", "a%n", "A", "Web1", "", ".a", "-a", "a..b", "a b", "a\n", "ä", "a" * 101):
            words = ("--", name) if name.startswith("-") else (name,)
            place.refuses("twobeat", (*base, *words), ("a-z 0-9",) if not name.startswith("-") else (),
                          f"key host {name!r}", code=2)
        for generation in ("0", "256", "-1", "1x", ""):
            place.refuses("twobeat", (*base, "web1", "--generation", generation), ("generation.*1 to 255",),
                          f"generation {generation!r}", code=2)
        for what, spoil, line in KEY_FILES:
            place.fresh()
            spoil(place.site, place.site.read_text().strip())
            for kind in (("host", "web1"), ("view",)):
                place.refuses("twobeat", ("key", *kind, "--site-key", place.site, "-o", out),
                              (re.escape(str(place.site)), line),
                              f"key {kind[0]}, site key {what}", code=3)
        place.fresh()
        place.refuses("twobeat", ("key", "site", "-o", place.site), (re.escape(str(place.site)), "not overwritten; "),
                      "an existing key", code=2)
        place.refuses("twobeat", ("key", "site", "-o", place.work / "no" / "x"), ("No such file",), "no such folder",
                      code=3)
        place.refuses("twobeat", ("key", "site", "-o", "/dev/full/x"), ("/dev/full/x",), "a device as folder", code=3)
        place.refuses("twobeat", ("key", "host"), ("usage: twobeat key host NAME",), "no name", code=2)
        place.refuses("twobeat", ("key", "crate"), ("crate.*; ",), "an unknown command", code=2)


if __name__ == "__main__":
    check(RECEIVER.exists(), f"{RECEIVER} is not built")
    sys.exit(run_tests("wrong", globals()))
