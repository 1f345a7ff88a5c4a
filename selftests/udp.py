#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Numbered datagrams, one each 10 ms or all at once, and an account of how they arrive.

usage: udp.py receive ADDRESS COUNT      ends when all are there, or nothing came for 30 s
       udp.py send ADDRESS COUNT SIZE    SIZE in bytes
       udp.py burst ADDRESS COUNT SIZE   in one call, which the stack takes apart; at most 64 KB

A sender that was kept from its CPU goes on at the same pace instead of catching up, and the receiver's
buffer has room for all of them: what is missing was lost on the way.
"""

import socket
import sys
import time

PORT = 5202
INTERVAL = 0.01
PATIENCE = 30.0


def receive(address, count):
    """True if each datagram came, once and in its turn."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        receiver.bind((address, PORT))
        receiver.settimeout(PATIENCE)
        came = []
        while len(set(came)) < count:
            try:
                data = receiver.recv(65536)
            except socket.timeout:
                break
            came.append(int.from_bytes(data[:4], "big"))
    print(f"{len(set(came))} of {count} came, {len(came) - len(set(came))} twice, "
          f"{sum(after < before for before, after in zip(came, came[1:]))} out of order")
    return came == list(range(count))


def send(address, count, size):
    """Sends them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect((address, PORT))
        for number in range(count):
            sender.send(number.to_bytes(4, "big").ljust(size, b"."))
            time.sleep(INTERVAL)
    return True


def burst(address, count, size):
    """Sends them by one call."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_UDP, 103, size)  # UDP_SEGMENT
        sender.connect((address, PORT))
        sender.send(b"".join(number.to_bytes(4, "big").ljust(size, b".") for number in range(count)))
    return True


if __name__ == "__main__":
    action = {"receive": receive, "send": send, "burst": burst}[sys.argv[1]]
    sys.exit(0 if action(sys.argv[2], *map(int, sys.argv[3:])) else 1)
