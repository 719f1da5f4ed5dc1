# SPDX-License-Identifier: GPL-2.0-or-later
"""A network of its own for a receiver and its hosts, whose cables can be pulled. Needs root.

Name spaces `recv`, `site1`, `site2` hang on a bridge in a fourth one, each by an interface `net0`. Daemons are placed in
one of them by their prefix.
"""
import subprocess
import sys

from world import ROOT, Skip, running, wait_until

ADDRESSES = {"recv": "10.77.0.1", "site1": "10.77.0.2", "site2": "10.77.0.3"}


class Network:
    """Closed by the World that it is made in."""

    def __init__(self, world):
        self.holders = {}
        world.stack.callback(self.close)
        for name in ("middle", *ADDRESSES):
            holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL)
            running.append(holder)
            self.holders[name] = holder
        for name in self.holders:
            wait_until(lambda n=name: self.try_ip(n, "link", "set", "lo", "up"), 10, f"the name space {name}")
        self.ip("middle", "link", "add", "bridge0", "type", "bridge")
        self.ip("middle", "link", "set", "bridge0", "up")
        for name, address in ADDRESSES.items():
            self.ip("middle", "link", "add", name, "type", "veth", "peer", "name", "net0", "netns", str(self.holders[name].pid))
            self.ip("middle", "link", "set", name, "master", "bridge0", "up")
            self.ip(name, "address", "add", f"{address}/24", "dev", "net0")
            self.ip(name, "link", "set", "net0", "up")

    def close(self):
        for holder in self.holders.values():
            holder.kill()
            holder.wait(10)

    def _run(self, name, words):
        return subprocess.run(["nsenter", f"--net=/proc/{self.holders[name].pid}/ns/net", "ip", *words],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)

    def try_ip(self, name, *words):
        """Nothing happens here unless it has a name space of its own: until then it is in ours."""
        own, ours = (subprocess.run(["readlink", f"/proc/{pid}/ns/net"], capture_output=True, check=False).stdout
                     for pid in (self.holders[name].pid, "self"))
        return own != ours and self._run(name, words).returncode == 0

    def ip(self, name, *words):
        result = self._run(name, words)
        if result.returncode != 0:
            raise Skip(f"ip {' '.join(words)}: {result.stderr.strip()}")

    def prefix(self, name):
        return [sys.executable, ROOT / "tests" / "lib" / "machine.py", "--net", str(self.holders[name].pid)]

    def pull(self, name, pulled=True):
        """The cable of that name space, at its own end: its interface is down."""
        self.ip(name, "link", "set", "net0", "down" if pulled else "up")

    def block(self, name, blocked=True):
        """The bridge carries nothing for that name space. Nobody but it can see that."""
        self.ip("middle", "link", "set", name, "nomaster" if blocked else "master", *([] if blocked else ["bridge0"]))
