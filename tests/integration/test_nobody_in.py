#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_nobody_in.py - keys that are exchanged, stolen or revoked, databases that are restored, and where secrets may show.

With real agents: whoever is let in beats without a gap, whoever is not goes down like any silent host.
"""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import protocol  # noqa: E402  pylint: disable=wrong-import-position
from protocol import BEAT, Beat, seal  # noqa: E402  pylint: disable=wrong-import-position
from world import BUILD, RECEIVER, Skip, World, check, equal, need_root, own, run_tests, wait_until, write_private  # noqa: E402  pylint: disable=wrong-import-position

T, M = 1.0, 0.5
SNAPSHOT = BUILD / "tests" / "libsnapshot.so"


def reload(daemon, **changes):
    count = daemon.log().count("settings reloaded")
    daemon.write_settings(**changes)
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: daemon.log().count("settings reloaded") > count, 10, lambda: f"the reload: {daemon.log()[-500:]}")


def give_key(agent, key):
    """Puts another key in place and starts the agent anew, as an operator does."""
    write_private(pathlib.Path(agent.settings["key_file"]), key.line() + "\n")
    agent.stop()
    agent.start()


def beats_on(receiver, name, count=4):
    """The host goes on beating."""
    last = receiver.look(name)["last_heard"]
    wait_until(lambda: receiver.look(name)["last_heard"] >= last + count * T, 20, f"{count} more beats of {name}")


def never_down(receiver, *names):
    equal([o for o in receiver.outages(*names) if o["state"] == "down"], [], "outages")


def no_gap(receiver, *names):
    equal(receiver.outages(*names), [], "outages, of any kind")


def test_site_key_without_a_gap(_):
    """The old one and the new one are valid together, the agents take their new keys, the old one goes."""
    with World() as world:
        receiver = world.receiver().start()
        agents = [world.agent(name, receiver) for name in ("web1", "web2")]
        for agent in agents:
            agent.start()
            receiver.wait_state(agent.name, "up")
            beats_on(receiver, agent.name)
        new_site = protocol.KeyFile("site", os.urandom(32))
        new_path = write_private(world.folder / "site2.key", new_site.line() + "\n")
        reload(receiver, site_key_file=[world.site_key_path, new_path])
        beats_on(receiver, "web1")
        key = protocol.KeyFile("host", protocol.derive_host_key(new_site.key, 1, "web1"), "web1", 1)
        give_key(agents[0], key)
        beats_on(receiver, "web1", 6)
        reload(receiver, site_key_file=[new_path])
        beats_on(receiver, "web1")
        no_gap(receiver, "web1")
        receiver.wait_state("web2", "down", 10)  # nobody gave it the new key
        for agent in agents:
            agent.stop()
        receiver.stop()


def test_generations_without_a_gap(_):
    with World() as world:
        receiver = world.receiver(generations=[1]).start()
        agent = world.agent("web1", receiver)
        agent.start()
        receiver.wait_state("web1", "up")
        beats_on(receiver, "web1")
        reload(receiver, generations=[1, 2])
        give_key(agent, world.key("web1", 2))
        beats_on(receiver, "web1", 6)
        reload(receiver, generations=[2])
        beats_on(receiver, "web1")
        no_gap(receiver, "web1")
        give_key(agent, world.key("web1", 1))  # an old key speaks no more
        wait_until(lambda: receiver.state("web1") in ("down", "unknown"), 10, "it is not heard")
        agent.stop()
        receiver.stop()


def test_revoked_by_reload(_):
    with World() as world:
        receiver = world.receiver().start()
        agents = [world.agent(name, receiver) for name in ("web1", "web2")]
        for agent in agents:
            agent.start()
            receiver.wait_state(agent.name, "up")
            beats_on(receiver, agent.name)
        log = len(receiver.log())
        reload(receiver, revoke=["web1"])
        receiver.wait_state("web1", "down", 10)
        beats_on(receiver, "web2")
        lines = [line for line in receiver.log()[log:].splitlines() if "web1" in line]
        equal(len(lines), 1, f"lines about it: its verdict, and nothing of what it sends: {lines}")
        reload(receiver, revoke=[])
        receiver.wait_state("web1", "up", 10)
        for agent in agents:
            agent.stop()
        receiver.stop()


def test_stolen_key(_):
    """It speaks for its own host and nothing else, and cannot fill the disk: 50 beats a second are taken, 500 at once."""
    with World() as world:
        receiver = world.receiver().start()
        agent = world.agent("web2", receiver)
        agent.start()
        receiver.wait_state("web2", "up")
        beats_on(receiver, "web2")
        stolen = world.key("web1").key
        with receiver.client("web1") as client:
            client.beat_until_acked()
            before = receiver.count()
            begin = time.monotonic()
            for _ in range(3000):
                client.send_beat()
            seconds = time.monotonic() - begin
            wait_until(lambda: receiver.count()["received"] - before["received"] >= 2000, 20, "they are taken from the socket")
            after = receiver.count()
            taken = after["beats"] - before["beats"]
            check(taken <= 500 + 50 * (seconds + 20), f"{taken} beats of one host taken in {seconds:.1f} s")
            check(after["too_many"] > before["too_many"] + 500, f"dropped: {after['too_many'] - before['too_many']}")
        # Under another name the seal does not open.
        before = receiver.count()
        with receiver.client("web1") as client:
            for name in ("web2", "web3"):
                client.socket.send(seal(BEAT, 1, name, Beat(session=7, counter=1, number=1).encode(), stolen))
            wait_until(lambda: receiver.count()["bad_seal"] - before["bad_seal"] >= 2, 10, lambda: f"{receiver.count()}")
        beats_on(receiver, "web2")
        never_down(receiver, "web2")
        equal(sorted(h["host"] for h in receiver.json("status")["hosts"]), ["web1", "web2"], "hosts")
        agent.stop()
        receiver.stop()


def test_restored_database(_):
    """An older copy of the record comes back: the agents are up again within two intervals of the start, what was recorded of
    them before opens no door, and the time between is unknown."""
    with World() as world:
        receiver = world.receiver().start()
        agent = world.agent("web1", receiver)
        agent.start()
        receiver.wait_state("web1", "up")
        beats_on(receiver, "web1", 2)
        receiver.stop()
        copy = world.folder / "copy"
        shutil.copytree(receiver.data, copy, ignore=lambda folder, names: [n for n in names if n.endswith(".sock")])
        receiver.start()
        with receiver.client("old") as client:
            client.beat_until_acked()
            recorded = [client.send_beat() for _ in range(3)]
            session = client.session
        beats_on(receiver, "web1", 3)
        receiver.stop()
        shutil.rmtree(receiver.data)
        shutil.copytree(copy, receiver.data)
        for path in [receiver.data, *receiver.data.rglob("*")]:
            own(path)
        receiver.start()
        begin = time.monotonic()
        receiver.wait_state("web1", "up", 2 * T + 3)
        check(time.monotonic() - begin < 2 * T + 3, "up again within two intervals")
        beats_on(receiver, "web1", 3)
        never_down(receiver, "web1")
        wait_until(lambda: any(o["cause"] == "receiver_off" for o in receiver.outages("web1")), 5, lambda: f"{receiver.outages('web1')}")
        check(recorded and session, "a conversation was recorded")
        before = receiver.count()
        with receiver.client("old") as client:
            client.session = session
            client.send_beat()
            wait_until(lambda: receiver.count()["challenged"] > before["challenged"], 5, "the old session is challenged")
        equal([h["host"] for h in receiver.json("status")["hosts"]], ["web1"], "who never proved itself since is no host")
        agent.stop()
        receiver.stop()


class Snapshot:
    """Of a running agent, see tests/lib/snapshot.c. The agent must be started with its `environment`."""

    def __init__(self, agent):
        check(SNAPSHOT.exists(), f"{SNAPSHOT} is not built")
        self.agent, self.pid = agent, None
        self.path = write_private(agent.folder / "snapshot", "")
        options = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0", "detect_leaks=0")))
        agent.environment.update({"LD_PRELOAD": str(SNAPSHOT), "TWOBEAT_SNAPSHOT": str(self.path), "ASAN_OPTIONS": options})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)

    def make(self):
        self.agent.signal(signal.SIGUSR2)
        self.pid = int(wait_until(self.path.read_text, 10, "the snapshot is made"))

    def restore(self):
        """The agent itself must be gone. Returns the time."""
        os.kill(self.pid, signal.SIGUSR2)
        return time.time()


def restore(newer_beats, away_s):
    """A real agent goes on from a state that is so many beats old, so long after it died. Its counters and numbers repeat."""
    with World() as world:
        receiver = world.receiver().start()
        agent = world.agent("web1", receiver)
        with Snapshot(agent) as snapshot:
            agent.start()
            receiver.wait_state("web1", "up")
            beats_on(receiver, "web1", 6)
            snapshot.make()
            beats_on(receiver, "web1", newer_beats)
            before = receiver.count()
            agent.kill()
            if away_s:
                receiver.wait_state("web1", "down", away_s)
            last, before = receiver.look("web1")["last_heard"], receiver.count()
            restored = snapshot.restore()
            wait_until(lambda: receiver.look("web1")["last_heard"] > max(last, restored - 1), 2 * T + 1.5, "it is heard within two intervals")
            heard = time.time()
            moved = {name: after - before[name] for name, after in receiver.count().items()}
            check(moved["repeated"] > 0, f"counters that repeat are refused: {moved}")
            equal((moved["proven"], moved["known"]), (1, 0), "it had to prove itself anew, and was not answered before: proven, known")
            receiver.wait_state("web1", "up", 2)
            beats_on(receiver, "web1", 4)
            wait_until(lambda: receiver.state("web1") == "up" and not any(o["to"] is None for o in receiver.outages("web1")), 5,
                       lambda: f"{receiver.outages('web1')}")
            # The same boot and run of the agent, which did not stand still: if two expectations lapsed it was not reached, else nothing was.
            outages = receiver.outages("web1")
            check(len(outages) <= 1 and all(o["cause"] == "unreachable" for o in outages), f"{outages}")
            check(len(outages) == 1 or not away_s, "it was down")
            check(all(o["seconds"] <= heard - last + 1 for o in outages), f"heard {last}, then {heard}: {outages}")
            receiver.twobeat("verify")
        receiver.stop()


def test_snapshot_restored_at_once(_):
    restore(newer_beats=5, away_s=0)


def test_snapshot_restored_late(_):
    restore(newer_beats=3, away_s=6)


def test_secrets_do_not_show(_):
    """Neither in logs, arguments and environments, nor in a core dump: none is made, and nobody else may look."""
    with World() as world:
        receiver = world.receiver().start()
        agent = world.agent("web1", receiver)
        agent.start()
        receiver.wait_state("web1", "up")
        beats_on(receiver, "web1")
        host_key = world.key("web1").key
        secrets = [world.site_key, host_key, protocol.derive_agent_key(host_key), protocol.derive_ack_key(host_key)]
        for daemon in (receiver, agent):
            shown = daemon.log().encode() + pathlib.Path(f"/proc/{daemon.pid}/cmdline").read_bytes()
            try:
                shown += pathlib.Path(f"/proc/{daemon.pid}/environ").read_bytes()
            except PermissionError:
                pass
            for secret in secrets:
                check(secret.hex().encode() not in shown.lower() and secret not in shown, f"{daemon.program.name} shows a key")
            limits = pathlib.Path(f"/proc/{daemon.pid}/limits").read_text()
            check(re.search(r"^Max core file size\s+0\s+0\s", limits, re.M), f"{daemon.program.name} would dump core: {limits}")
            # What may not be dumped belongs to root in /proc: not even its own user may attach to it.
            equal(os.stat(f"/proc/{daemon.pid}/mem").st_uid, 0, f"owner of {daemon.program.name} in /proc")
        for path in receiver.data.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                check(not any(s in content or s.hex().encode() in content for s in secrets), f"{path} holds a key")
        agent.stop()
        receiver.stop()


def places(daemon, secret):
    """Where in its memory it lies: the addresses, whoever may or may not look at them. Needs root."""
    found = []
    with open(f"/proc/{daemon.pid}/mem", "rb", buffering=0) as memory:
        for line in pathlib.Path(f"/proc/{daemon.pid}/maps").read_text().splitlines():
            begin, end = (int(x, 16) for x in line.split()[0].split("-"))
            if "rw" not in line.split()[1] or end - begin > 1 << 30:  # what only a sanitizer reserves
                continue
            memory.seek(begin)
            with contextlib.suppress(OSError):
                found += [begin + m.start() for m in re.finditer(re.escape(secret), memory.read(end - begin))]
    return found


def test_secrets_in_memory(_):
    """Each is there as long as it is needed, in one place, and nowhere what it was made of or read from."""
    need_root()
    with World() as world:
        receiver = world.receiver().start()
        agent = world.agent("web1", receiver)
        agent.start()
        receiver.wait_state("web1", "up")
        beats_on(receiver, "web1", 3)
        host_key = world.key("web1").key
        agent_key, ack_key = protocol.derive_agent_key(host_key), protocol.derive_ack_key(host_key)
        host_line = world.key("web1").line().split()[-1].encode()

        def count(daemon, *secrets):
            return [len(places(daemon, secret)) for secret in secrets]
        equal(count(receiver, world.site_key, agent_key, ack_key), [1, 1, 1], "keys in the receiver: of the site, and of one direction each")
        equal(count(receiver, host_key, world.site_key.hex().encode()), [0, 0], "the host key, and the text of the key file, in the receiver")
        equal(count(agent, agent_key, ack_key), [1, 1], "keys in the agent: of one direction each")
        equal(count(agent, host_key, host_line, world.site_key), [0, 0, 0], "the host key, its text, and the site key in the agent")
        # Revoked, and exchanged.
        new_site = protocol.KeyFile("site", os.urandom(32))
        new_path = write_private(world.folder / "site2.key", new_site.line() + "\n")
        reload(receiver, revoke=["web1"])
        equal(count(receiver, world.site_key, agent_key, ack_key), [1, 0, 0], "keys of a revoked host in the receiver")
        reload(receiver, site_key_file=[new_path])
        equal(count(receiver, world.site_key, new_site.key), [0, 1], "the old site key and the new one in the receiver")
        agent.stop()
        receiver.stop()


def aborted(daemon):
    """Whether it dumps core when it is aborted."""
    daemon.signal(signal.SIGABRT)
    how = os.waitid(os.P_PID, daemon.pid, os.WEXITED | os.WNOWAIT)
    daemon.end()
    return how.si_code == os.CLD_DUMPED


def test_no_core(_):
    """Also where core dumps are wanted, a crash leaves no key behind."""
    with World() as world:
        folder = world.folder / "cores"
        folder.mkdir()
        folder.chmod(0o777)
        dumping = ["/bin/sh", "-c", f'ulimit -c unlimited && cd {folder} && exec "$@"', "sh"]
        control = subprocess.Popen([*dumping, "sleep", "60"], start_new_session=True)
        wait_until(lambda: pathlib.Path(f"/proc/{control.pid}/comm").read_text() == "sleep\n", 10, "the control has begun")
        control.send_signal(signal.SIGABRT)
        dumped = os.waitid(os.P_PID, control.pid, os.WEXITED | os.WNOWAIT).si_code == os.CLD_DUMPED
        control.wait(10)
        if not dumped:
            raise Skip("nothing dumps core on this machine")
        for path in folder.iterdir():
            path.unlink()
        receiver = world.receiver()
        options = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "disable_coredump=0")))
        receiver.prefix, receiver.environment["ASAN_OPTIONS"] = dumping, options
        receiver.start()
        agent = world.agent("web1", receiver)
        agent.prefix, agent.environment["ASAN_OPTIONS"] = dumping, options
        agent.start()
        receiver.wait_state("web1", "up")
        check(not aborted(agent), "the agent dumped core")
        check(not aborted(receiver), "the receiver dumped core")
        equal(list(folder.iterdir()), [], "cores")


if __name__ == "__main__":
    check(RECEIVER.exists(), f"{RECEIVER} is not built")
    sys.exit(run_tests("nobody_in", globals()))
