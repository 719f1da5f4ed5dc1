#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_copy.py - `twobeat copy`: a copy agrees with itself whenever it is made, is not in the way of the receiver, and is a record."""
import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from test_merged import make_record  # noqa: E402  pylint: disable=wrong-import-position
from test_return import LINES, Crowd, give_history  # noqa: E402  pylint: disable=wrong-import-position
from world import NOBODY, TWOBEAT, Skip, World, check, equal, need_root, own, run_tests, wait_until  # noqa: E402  pylint: disable=wrong-import-position

DAY = 86400
HOSTS = 40
END = int(time.time()) - 600
MODES = {"dir": 0o750, "file": 0o640}


def copied(world, data, to, **how):
    return json.loads(world.twobeat("copy", to, "--data", data, "--json", **how).stdout)


def copied_slowly(world, data, to):
    """The same, but between the database and most of the files there are two seconds: a file of the first host is being written."""
    with open(own_file(data / "hosts" / "h0" / "a.rrd"), "r+b") as writer:
        fcntl.lockf(writer, fcntl.LOCK_EX)
        with subprocess.Popen([TWOBEAT, "copy", to, "--data", data, "--json"], stdout=subprocess.PIPE, text=True) as process:
            until = time.monotonic() + 1.5
            wait_until(lambda: time.monotonic() > until, 5, "files are made anew meanwhile")
            fcntl.lockf(writer, fcntl.LOCK_UN)
            text = process.communicate(timeout=60)[0]
    equal(process.returncode, 0, "exit of copy")
    return json.loads(text)


def own_file(path):
    path.touch()
    return own(path)


def figures(world, data):
    return json.loads(world.twobeat("uptime", "--from", END - 80 * DAY, "--to", END, "--json", "--data", data).stdout)


def check_modes(data, owner):
    for path in [data, *data.rglob("*")]:
        kind = "dir" if path.is_dir() else "file"
        equal((path.stat().st_mode & 0o777, path.stat().st_uid, path.stat().st_gid), (MODES[kind], *owner), f"mode and owner of {path}")
    check(not list(data.rglob("*.new")) and not list(data.rglob("*-wal")) and not (data / "new").exists(), "nothing is left behind")


def test_while_files_are_made_anew(rng):
    """Somebody says something about outages all the time, so that files are made anew from a log that the copy does not have."""
    with World() as world:
        receiver = world.receiver()
        give_history(receiver, HOSTS)
        receiver.start()
        world.stack.enter_context(Crowd(receiver, HOSTS))
        wait_until(lambda: receiver.count()["beats"] >= 3 * HOSTS, 60, "three beats of each host")
        receiver.twobeat("flush")
        to = world.folder / "copy"
        ends = threading.Event()
        said = []

        def talk():
            while not ends.is_set():
                state = rng.choice(("up", "admin", "unknown", "down"))
                answer = receiver.try_ask("relabel", hosts=[f"h{rng.randrange(HOSTS)}"], number=2 * rng.randrange(1, LINES // 2), reason="x",
                                          to_end=False, open=False, to=2, **{"as": state, "from": 1})
                said.append(bool(answer and answer["ok"]))
        talker = threading.Thread(target=talk, daemon=True)
        talker.start()
        made_anew = rounds = 0
        try:
            deadline = time.monotonic() + 60
            while rounds < 4 or (made_anew == 0 and time.monotonic() < deadline):
                answer = (copied_slowly if rounds % 2 else copied)(world, receiver.data, to)
                equal((answer["hosts"], answer["copy"]), (HOSTS, str(to)), "what was copied")
                made_anew += answer["made_anew"]
                world.twobeat("verify", "--data", to)
                rounds += 1
        finally:
            ends.set()
            talker.join()
        print(f"{rounds} copies while {len(said)} outages were relabelled; {made_anew} files did not fit and were made anew", flush=True)
        check(made_anew > 0 and all(said), "the receiver was at work meanwhile")
        check("cannot write" not in receiver.log(), "the receiver could write its files")
        check_modes(to, (receiver.data.stat().st_uid, receiver.data.stat().st_gid))
        wait_until(lambda: receiver.count()["queued"] == 0, 30, "all is made anew")
        receiver.twobeat("flush")
        copied(world, receiver.data, to)
        lists = [{(o["host"], o["from"]): (o["state"], o["to"]) for o in json.loads(
            world.twobeat("outages", "--days", 89, "--json", "--data", data).stdout)["outages"] if o["to"]} for data in (receiver.data, to)]
        check(len(lists[0]) > HOSTS, "outages")
        equal(lists[0], lists[1], "the copy has the outages of the record")
        receiver.stop()
        equal(copied(world, receiver.data, to)["made_anew"], 0, "of a stopped receiver")
        world.twobeat("verify", "--data", to)
        equal(figures(world, to), figures(world, receiver.data), "the figures of the record")
        check_restored(world, receiver, to)


def check_restored(world, receiver, to):
    """A receiver goes on from a copy; then that is no copy any more."""
    before = figures(world, to)
    other = world.receiver("restored")
    shutil.rmtree(other.data)
    to.rename(other.data)
    other.start()
    other.twobeat("flush")
    other.twobeat("verify")
    other.stop()
    equal([h["seconds"]["up"] for h in figures(world, other.data)["hosts"]], [h["seconds"]["up"] for h in before["hosts"]], "what it came with")
    check("a receiver has run" in world.twobeat("copy", other.data, "--data", receiver.data, code=3).stderr, "not overwritten")


def small_record(folder, name="data", hosts=3):
    end = int(time.time()) - 1000
    make_record(folder / name, {f"web{i}": [(end - 20 * DAY, "up", ""), (end - 5000 - i, "down", "reboot"), (end - 4000, "up", "")]
                                for i in range(hosts)}, end)
    (folder / name).chmod(0o750)
    for path in (folder / name).rglob("*"):
        path.chmod(0o750 if path.is_dir() else 0o640)
    return folder / name


def test_what_is_refused_and_what_is_left(_):
    with World() as world:
        data = small_record(world.folder)
        foreign = world.folder / "foreign"
        foreign.mkdir()
        (foreign / "letter").write_text("dear")
        for target, why in ((foreign, "nor a copy"), (data, "the record itself"), (world.folder / "letter" / "x", "cannot create")):
            line = world.twobeat("copy", target, "--data", data, code=3).stderr
            check(why in line and line.count("\n") == 1, f"{target}: {line}")
        equal([p.name for p in foreign.iterdir()], ["letter"], "nothing is touched")
        world.twobeat("copy", "--data", data, code=2)
        world.twobeat("copy", "a", "b", "--data", data, code=2)
        world.twobeat("copy", world.folder / "c", "--data", foreign, code=3)
        check(not (world.folder / "c").exists(), "nothing is begun without a record")
        to = world.folder / "copy"
        to.mkdir(mode=0o700)
        copied(world, data, to)
        equal(to.stat().st_mode & 0o777, 0o700, "an empty directory of one's own is left as it is")
        # What a copy that was cut short left behind, and a folder of a host that has another name now.
        (to / "new").mkdir()
        shutil.copy(to / "receiver.db", to / "new" / "receiver.db")
        (to / "new" / "receiver.db-journal").write_bytes(os.urandom(5000))
        (to / "hosts" / "gone").mkdir()
        shutil.copy(to / "hosts" / "web1" / "state.rrd", to / "hosts" / "gone")
        (to / "hosts" / "web2" / "state.rrd").write_bytes(b"torn")
        copied(world, data, to)
        world.twobeat("verify", "--data", to)
        equal(sorted(p.name for p in (to / "hosts").iterdir()), ["web0", "web1", "web2"], "folders")
        for i in range(3):
            equal((to / f"hosts/web{i}/state.rrd").read_bytes(), (data / f"hosts/web{i}/state.rrd").read_bytes(), "byte for byte")
            equal((to / f"hosts/web{i}/state.rrd").stat().st_mtime_ns, (data / f"hosts/web{i}/state.rrd").stat().st_mtime_ns, "time of change")
        copied(world, to, world.folder / "copy of a copy")
        world.twobeat("verify", "--data", world.folder / "copy of a copy")
        for held, why in (("receiver.lock", "held by another program"), ("twobeat-copy", "another copy")):
            with open(to / held, encoding="ascii") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                check(why in world.twobeat("copy", to, "--data", data, code=3).stderr, f"while {held} is locked")
        copied(world, data, to)


def test_a_file_that_is_being_written_is_waited_for(_):
    with World() as world:
        data = small_record(world.folder)
        path = data / "hosts" / "web1" / "net.rrd"
        shutil.copy(data / "hosts" / "web1" / "state.rrd", path)
        whole = path.read_bytes()
        copied(world, data, world.folder / "copy")
        (world.folder / "copy" / "hosts" / "web1" / "net.rrd").unlink()
        with open(path, "r+b") as writer:
            fcntl.lockf(writer, fcntl.LOCK_EX)  # as librrd does
            writer.write(b"x" * 5000)
            writer.flush()
            with subprocess.Popen([TWOBEAT, "copy", world.folder / "copy", "--data", data], stdout=subprocess.DEVNULL) as process:
                wait_until(lambda: (world.folder / "copy" / "new").exists(), 20, "the copy begins")
                until = time.monotonic() + 0.5
                wait_until(lambda: time.monotonic() > until, 5, "half a second")
                for words in (("status",), ("uptime", "--days", 1)):
                    world.twobeat(*words, "--data", world.folder / "copy", "--data", data)  # readers need not wait
                check(process.poll() is None, "it waits")
                writer.seek(0)
                writer.write(whole[:5000])
                writer.flush()
                fcntl.lockf(writer, fcntl.LOCK_UN)
                equal(process.wait(20), 0, "exit")
        equal((world.folder / "copy" / "hosts" / "web1" / "net.rrd").read_bytes(), whole, "as the writer left it")


def test_cut_short_at_any_instant(rng):
    with World() as world:
        data = small_record(world.folder, hosts=12)
        to = world.folder / "copy"
        killed = 0
        for i in range(12):
            with subprocess.Popen([TWOBEAT, "copy", to, "--data", data], stdout=subprocess.DEVNULL) as process:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(rng.random() * (0.05 + i * 0.05))
                killed += process.poll() is None
                process.send_signal(signal.SIGKILL)
            if (to / "receiver.db").exists():
                equal(len(figures(world, to)["hosts"]), 12, "what is there can be read")
        print(f"killed {killed} of 12 times", flush=True)
        copied(world, data, to)
        world.twobeat("verify", "--data", to)
        check(killed > 0, "none was cut short")


def test_rsync_brings_it_elsewhere(_):
    if not shutil.which("rsync"):
        raise Skip("the program rsync is not installed")
    with World() as world:
        data, other = small_record(world.folder, "recv1"), small_record(world.folder, "recv2")
        to, here = world.folder / "copy", world.folder / "here"
        for _ in range(2):
            copied(world, other, to)
            subprocess.run(["rsync", "-a", "--delete", f"{to}/", here], check=True)
            world.twobeat("verify", "--data", here)
            answer = json.loads(world.twobeat("uptime", "--json", "--data", data, "--data", here).stdout)
            equal((answer["source"], len(answer["hosts"])), ("log", 3), "merged")
            before = {path: path.stat().st_mtime_ns for path in here.rglob("*")}
            copied(world, other, to)
            sent = subprocess.run(["rsync", "-ai", f"{to}/", here], check=True, capture_output=True, text=True).stdout
            check(".rrd" not in sent, f"files that did not change are not sent again: {sent}")
            check(before[here / "hosts" / "web1" / "state.rrd"] == (here / "hosts" / "web1" / "state.rrd").stat().st_mtime_ns, "nor written")


def test_owner_and_readers(_):
    need_root()
    with World() as world:
        data = small_record(world.folder)
        for path in [data, *data.rglob("*")]:
            os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
        to = world.folder / "copy"
        copied(world, data, to)
        check_modes(to, (NOBODY.pw_uid, NOBODY.pw_gid))
        member = {"user": 12345, "group": NOBODY.pw_gid}
        files = {path: path.stat().st_mtime_ns for path in to.rglob("*")}
        for words in (("uptime",), ("outages",), ("status",), ("verify",)):
            world.twobeat(*words, "--data", to, **member)
            world.twobeat(*words, "--data", to)
        equal({path: path.stat().st_mtime_ns for path in to.rglob("*")}, files, "readers leave no file behind, not even root")
        world.twobeat("uptime", "--data", to, user=12345, group=12345, code=3)
        # A member of the group copies for themselves.
        mine = world.folder / "mine"
        mine.mkdir()
        os.chown(mine, 12345, 12345)
        world.twobeat("copy", mine / "copy", "--data", data, **member)
        check_modes(mine / "copy", (12345, NOBODY.pw_gid))
        world.twobeat("verify", "--data", mine / "copy", **member)


if __name__ == "__main__":
    check(TWOBEAT.exists(), f"{TWOBEAT} is not built")
    sys.exit(run_tests("copy", globals(), at_once=3))
