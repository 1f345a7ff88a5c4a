#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Numbered datagrams, one each 10 ms or all at once, and an account of how they arrive.

usage: udp.py receive ADDRESS COUNT      ends when all are there, or nothing came for 30 s
       udp.py send ADDRESS COUNT SIZE    SIZE in bytes
       udp.py burst ADDRESS COUNT SIZE   in one call, which the stack takes apart; at most 64 KB
       udp.py dying ADDRESS COUNT SIZE   the same, and its next interrupt kills e1000e under SIDE
       udp.py resent ADDRESS COUNT       a burst of which a driver's death has some sent again, in order; ends
                                         with what `last` sends; status 2 if none came twice
       udp.py last ADDRESS COUNT

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


def burst(address, count, size, before=lambda: None):
    """Sends them by one call, right after `before`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_UDP, 103, size)  # UDP_SEGMENT
        sender.connect((address, PORT))
        data = b"".join(number.to_bytes(4, "big").ljust(size, b".") for number in range(count))
        before()
        sender.send(data)
    return True


def dying(address, count, size):
    """The driver has an interrupt every 2 s anyway: what is to kill it is set at the last moment."""
    def arm():
        with open("/sys/kernel/side/e1000e/inject", "w", encoding="ascii") as inject:
            inject.write("irq")
    return burst(address, count, size, arm)


def resent(address, count):
    """True if those that came twice came in order the second time: one step back in all."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        receiver.bind((address, PORT))
        receiver.settimeout(PATIENCE)
        came = []
        while count not in came:
            came.append(int.from_bytes(receiver.recv(65536)[:4], "big"))
    twice = len(came) - len(set(came))
    print(f"{twice} of {count} came twice: {came}")
    if twice < 3:
        sys.exit(2)
    return sum(after < before for before, after in zip(came, came[1:])) <= 1


def last(address, count):
    """Sends the number that follows the burst's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(count.to_bytes(4, "big"), (address, PORT))
    return True


if __name__ == "__main__":
    action = {"receive": receive, "send": send, "burst": burst, "dying": dying, "resent": resent,
              "last": last}[sys.argv[1]]
    sys.exit(0 if action(sys.argv[2], *map(int, sys.argv[3:])) else 1)
