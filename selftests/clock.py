#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What a program sees of an interface's time stamping and of its PTP clock, as lines to compare.

usage: clock.py INTERFACE PTP_DEVICE
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct
import sys
import time

SIOCSHWTSTAMP, SIOCGHWTSTAMP = 0x89B0, 0x89B1
SYS_CLOCK_ADJTIME = 305  # x86-64
ADJ_OFFSET, ADJ_FREQUENCY, ADJ_SETOFFSET, ADJ_NANO = 0x0001, 0x0002, 0x0100, 0x2000
PTP_CLOCK_GETCAPS = 0x80503D01
libc = ctypes.CDLL(None, use_errno=True)


def answer(what, action):
    """Prints what an action gives, or the name of its error."""
    try:
        print(what, action())
    except OSError as error:
        print(what, errno.errorcode.get(error.errno, error.errno))


def stamping(interface, request, flags=0, transmit=0, receive=0):
    """One of the two ioctls: flags, tx_type and rx_filter of struct hwtstamp_config."""
    config = ctypes.create_string_buffer(struct.pack("iii", flags, transmit, receive))
    ifreq = struct.pack("16sQ16x", interface.encode(), ctypes.addressof(config))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, request, ifreq)
    return struct.unpack("iii", config.raw[:12])


def adjust(clock, modes, offset=0, freq=0, seconds=0, fraction=0):
    """clock_adjtime(): what it returns, and the frequency afterwards."""
    # struct timex: modes, offset, freq, maxerror, esterror, status, constant, precision, tolerance, time
    timex = struct.pack("I4xqqqqi4xqqqqq", modes, offset, freq, 0, 0, 0, 0, 0, 0, seconds, fraction)
    buffer = ctypes.create_string_buffer(timex, 208)
    if libc.syscall(SYS_CLOCK_ADJTIME, ctypes.c_int(clock), buffer) < 0:
        raise OSError(ctypes.get_errno(), "clock_adjtime")
    return struct.unpack_from("q", buffer.raw, 16)[0]


def ratio(clock):
    """How much faster than the machine's own clock it runs; a second of each, the best of three."""
    def pair():
        best = None
        for _ in range(5):
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
            there = time.clock_gettime_ns(clock)
            after = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
            if best is None or after - before < best[0]:
                best = (after - before, there, (before + after) // 2)
        return best[1:]
    there, here = pair()
    time.sleep(2)
    there_now, here_now = pair()
    return (there_now - there) / (here_now - here)


def main():
    interface, path = sys.argv[1:]
    for transmit in (0, 1, 2, 7):
        for receive in (0, 1, 3, 12, 14, 99):
            answer(f"set tx {transmit} rx {receive}:",
                   lambda t=transmit, r=receive: stamping(interface, SIOCSHWTSTAMP, 0, t, r))
            answer("    now", lambda: stamping(interface, SIOCGHWTSTAMP))
    answer("set flags 8:", lambda: stamping(interface, SIOCSHWTSTAMP, 8, 0, 0))
    answer("back:", lambda: stamping(interface, SIOCSHWTSTAMP))
    device = os.open(path, os.O_RDWR)
    clock = (~device << 3) | 3
    capabilities = bytearray(80)
    fcntl.ioctl(device, PTP_CLOCK_GETCAPS, capabilities)
    print("capabilities", struct.unpack_from("8i", capabilities))
    for seconds in (0, 1000, 1700000000):
        time.clock_settime(clock, seconds)
        read = time.clock_gettime(clock) - seconds
        # The emulated clock is fast, and the machine that emulates it may be busy.
        print("set to", seconds, "reads", "near" if 0 <= read < 60 else read)
    before = time.clock_gettime(clock)
    answer("shift by -500 s:", lambda: adjust(clock, ADJ_SETOFFSET | ADJ_NANO, seconds=-500))
    shifted = time.clock_gettime(clock) - before + 500
    print("reads", "near" if 0 <= shifted < 60 else shifted)
    for frequency in (0, 65536, -65536 * 100, 65536 * 10**7):
        answer(f"frequency {frequency}:", lambda f=frequency: adjust(clock, ADJ_FREQUENCY, freq=f))
    answer("frequency 0:", lambda: adjust(clock, ADJ_FREQUENCY))
    answer("phase 1000:", lambda: adjust(clock, ADJ_OFFSET | ADJ_NANO, offset=1000))
    # Within a few percent, as a busy machine reads two clocks; the emulated card's is 2.5 times too fast.
    print(f"runs {round(ratio(clock) * 4) / 4} times as fast")
    os.close(device)


main()
