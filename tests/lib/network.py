# SPDX-License-Identifier: GPL-2.0-or-later
"""A network of its own for a receiver and its hosts, whose cables can be pulled. Needs root.

Name spaces (`recv`, `site1`, `site2` unless told otherwise) hang on a bridge in one more, `middle`, each by an interface `net0`.
Daemons are placed in one of them by their prefix.
"""
import subprocess

from world import Skip, running, wait_until

PLACES = ("recv", "site1", "site2")
MIDDLE = "10.77.0.100"
NOWHERE = "02:00:00:00:00:01"  # the hardware address of nobody


class Network:
    """Closed by the World that it is made in."""

    def __init__(self, world, places=PLACES):
        self.holders = {}
        self.addresses = {name: f"10.77.0.{number}" for number, name in enumerate(places, 1)}
        world.stack.callback(self.close)
        for name in ("middle", *places):
            holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], stdin=subprocess.DEVNULL)
            running.append(holder)
            self.holders[name] = holder
        for name in self.holders:
            wait_until(lambda n=name: self.try_ip(n, "link", "set", "lo", "up"), 10, f"the name space {name}")
        self.ip("middle", "link", "add", "bridge0", "type", "bridge")
        self.ip("middle", "address", "add", f"{MIDDLE}/24", "dev", "bridge0")
        self.ip("middle", "link", "set", "bridge0", "up")
        for name, address in self.addresses.items():
            self.ip("middle", "link", "add", name, "type", "veth", "peer", "name", "net0", "netns", str(self.holders[name].pid))
            self.ip("middle", "link", "set", name, "master", "bridge0", "up")
            self.ip(name, "address", "add", f"{address}/24", "dev", "net0")
            self.ip(name, "link", "set", "net0", "up")

    def close(self):
        for holder in self.holders.values():
            holder.kill()
            holder.wait(10)

    def _run(self, name, words):
        return subprocess.run(["nsenter", self.namespace(name), "ip", *words],
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
        return ["nsenter", self.namespace(name)]

    def namespace(self, name):
        return f"--net=/proc/{self.holders[name].pid}/ns/net"

    def pull(self, name, pulled=True):
        """The cable of that name space, at its own end: its interface is down."""
        self.ip(name, "link", "set", "net0", "down" if pulled else "up")

    def block(self, name, blocked=True):
        """The bridge carries nothing for that name space. Nobody but it can see that."""
        self.ip("middle", "link", "set", name, "nomaster" if blocked else "master", *([] if blocked else ["bridge0"]))

    def lose(self, source, destination, lost=True):
        """Whatever `source` sends to `destination` arrives nowhere, and nobody is told."""
        address = self.addresses[destination]
        if lost:
            self.ip(source, "neighbour", "replace", address, "lladdr", NOWHERE, "dev", "net0", "nud", "permanent")
        else:
            self.ip(source, "neighbour", "delete", address, "dev", "net0")

    def part(self, one, other, parted=True):
        """Nothing passes between these two; the rest of the network is as it was."""
        self.lose(one, other, parted)
        self.lose(other, one, parted)
