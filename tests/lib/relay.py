# SPDX-License-Identifier: GPL-2.0-or-later
"""Lossy cables between agents and a receiver, one for each host, and when a heartbeat passed each of them."""
import contextlib
import random
import selectors
import socket
import threading

BEAT, BYE = 1, 5
TYPE_AT = 4  # in every datagram, see PROTOCOL.md


class Cable:
    """`address` is where the agent believes the receiver to be."""

    def __init__(self, target):
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind(("127.0.0.1", 0))
        self.back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.back.connect(target)
        for each in (self.front, self.back):
            each.setblocking(False)
        self.address = self.front.getsockname()
        self.agent = None
        self.cut = False
        self.loss = 0.0  # of each datagram, in either direction
        self.passed = []  # when heartbeats went on to the receiver


class Relay:
    """Use in a `with` block. `clock` says when something passed."""

    def __init__(self, target, names, clock, seed):
        self.cables = {name: Cable(target) for name in names}
        self.clock = clock
        self.rng = random.Random(seed)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join(5)
        for cable in self.cables.values():
            cable.front.close()
            cable.back.close()

    def _run(self):
        with selectors.DefaultSelector() as selector:
            for cable in self.cables.values():
                selector.register(cable.front, selectors.EVENT_READ, (cable, True))
                selector.register(cable.back, selectors.EVENT_READ, (cable, False))
            while not self.ended.is_set():
                for key, _ in selector.select(0.2):
                    with contextlib.suppress(OSError):  # nobody listens at the other end, for the time being
                        self._pass(*key.data)

    def _pass(self, cable, forth):
        if forth:
            datagram, cable.agent = cable.front.recvfrom(2048)
        else:
            datagram = cable.back.recv(2048)
        if cable.cut or self.rng.random() < cable.loss:
            return
        if not forth:
            cable.front.sendto(datagram, cable.agent)
            return
        try:
            cable.back.send(datagram)
        except ConnectionRefusedError:  # an old refusal is told once, and nothing was sent
            cable.back.send(datagram)
        if datagram[TYPE_AT] == BEAT:
            cable.passed.append(self.clock())
