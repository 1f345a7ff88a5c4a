#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Many TCP connections at once, both ways at a time; each byte is looked at where it arrives.

usage: flows.py serve ADDRESS FLOWS BLOCKS    answers so many connections, then ends
       flows.py call ADDRESS FLOWS BLOCKS     opens them; BLOCKS of 64 KB go each way on each

No two blocks of a run are alike, so bytes that went to another flow, came twice or late are found. Exit status 1, and
a line for each block that is not as it was sent."""

import hashlib
import socket
import sys
import threading
import time

PORT = 5203
BLOCK = 65536
PATIENCE = 120.0


def block(flow, number, caller):
    """The contents of a block, by its flow and number and by who sends it."""
    return hashlib.sha256(b"%d %d %d" % (flow, number, caller)).digest() * (BLOCK // 32)


def receive(connection, size):
    """So many bytes, or fewer if the connection ends."""
    got = bytearray()
    while len(got) < size:
        part = connection.recv(size - len(got))
        if not part:
            break
        got += part
    return bytes(got)


class Flow(threading.Thread):
    """One connection: sends its blocks and looks at the other side's."""

    def __init__(self, connection, number, blocks, caller):
        super().__init__(daemon=True)
        self.connection = connection
        self.number = number
        self.blocks = blocks
        self.caller = caller
        self.good = 0

    def send(self):
        """Sends all blocks."""
        for n in range(self.blocks):
            self.connection.sendall(block(self.number, n, self.caller))
        self.connection.shutdown(socket.SHUT_WR)

    def run(self):
        sender = threading.Thread(target=self.send, daemon=True)
        sender.start()
        for n in range(self.blocks):
            got, wanted = receive(self.connection, BLOCK), block(self.number, n, not self.caller)
            if got == wanted:
                self.good += 1
                continue
            pairs = enumerate(zip(got, wanted))
            first = next((at for at, (one, other) in pairs if one != other), len(got))
            print(f"flow {self.number}, block {n}: {len(got)} bytes, as sent up to byte {first}")
            break
        sender.join()


def accept(address, flows, blocks):
    """The connections that a caller opens; it says which flow each is."""
    with socket.create_server((address, PORT), backlog=flows) as server:
        server.settimeout(PATIENCE)
        for _ in range(flows):
            connection, _ = server.accept()
            connection.settimeout(PATIENCE)
            yield Flow(connection, int.from_bytes(receive(connection, 4), "big"), blocks, False)


def connect(address, flows, blocks):
    """Opens the connections, once the server is there."""
    end = time.monotonic() + PATIENCE
    for number in range(flows):
        while True:
            try:
                connection = socket.create_connection((address, PORT), timeout=PATIENCE)
                break
            except ConnectionRefusedError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
        connection.sendall(number.to_bytes(4, "big"))
        yield Flow(connection, number, blocks, True)


def main():
    """Runs one side. Whether all blocks came as they were sent."""
    verb, address, flows, blocks = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    running = []
    for flow in (accept if verb == "serve" else connect)(address, flows, blocks):
        flow.start()
        running.append(flow)
    for flow in running:
        flow.join()
    good = sum(flow.good for flow in running)
    print(f"{good} of {flows * blocks} blocks came as they were sent")
    return good == flows * blocks


if len(sys.argv) != 5 or sys.argv[1] not in ("serve", "call"):
    print(__doc__)
    sys.exit(2)
sys.exit(0 if main() else 1)
