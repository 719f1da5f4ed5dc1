# SPDX-License-Identifier: GPL-2.0-or-later
"""What one receiver says to another passes here, with the answers: it may get lost, and is kept to be said again."""
import ctypes
import os
import random
import selectors
import socket
import threading
import time

from network import MIDDLE
from world import check

libc = ctypes.CDLL(None, use_errno=True)


def socket_in(network, name, address=None):
    """A UDP socket in that name space of the network. The thread that makes it goes there, and is no more."""
    made = []

    def make():
        with open(f"/proc/{network.holders[name].pid}/ns/net", "rb") as space:
            if libc.setns(space.fileno(), 0) != 0:
                made.append(OSError(ctypes.get_errno(), "setns"))
                return
        made.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        if address:
            made[0].bind((address, 0))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


class Wiretap:
    """In the middle of a network, before a receiver at `target`. Closed with the world."""

    def __init__(self, world, network, target, seed=0):
        self.front = socket_in(network, "middle", MIDDLE)
        self.back = socket_in(network, "middle", MIDDLE)
        self.address = self.front.getsockname()
        self.target = target
        self.loss = 0.0  # share of what is lost, in each direction; 1 for all
        self.forth, self.answers = [], []  # (wall time, datagram), also of what was lost
        self.rng = random.Random(seed)
        self.sender = None
        self.end, wake = os.pipe()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        world.stack.callback(self._close, wake)

    def _close(self, wake):
        os.close(wake)
        self.thread.join(10)
        os.close(self.end)
        self.front.close()
        self.back.close()

    def _pass(self, source):
        datagram, sender = source.recvfrom(2048)
        forth = source is self.front
        (self.forth if forth else self.answers).append((time.time(), datagram))
        if forth:
            self.sender = sender
        if self.rng.random() < self.loss:
            return
        if forth:
            self.back.sendto(datagram, self.target)
        elif self.sender:
            self.front.sendto(datagram, self.sender)

    def _run(self):
        with selectors.DefaultSelector() as selector:
            for each in (self.front, self.back, self.end):
                selector.register(each, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self.end:
                        return
                    try:
                        self._pass(key.fileobj)
                    except OSError:
                        pass  # nobody is there just now

    def check_answers(self):
        """None was longer than what was asked: each is the answer to one of the latest datagrams."""
        asked = [(at, len(datagram)) for at, datagram in self.forth]
        for at, datagram in self.answers:
            longest = max((length for when, length in asked if when <= at), default=0)
            check(len(datagram) <= longest, f"an answer of {len(datagram)} bytes, the longest question had {longest}")
        check(len(self.answers) <= len(asked), f"{len(self.answers)} answers to {len(asked)} datagrams")
        check(sum(len(datagram) for _, datagram in self.answers) <= sum(length for _, length in asked), "answers are longer than questions")
