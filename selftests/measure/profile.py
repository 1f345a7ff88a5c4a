#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Counts how often each instruction was executed, from the emulator's trace of single instructions.

usage, from the guest:
    vm-monitor '!profile start NAME MARKER[,MARKER] FIRST LAST'
    vm-monitor '!profile stop NAME'

Runs beside the emulator (scripts/vm.py). Between `start` and `stop` the guest has the emulator write
a line for each instruction to the pipe that `start` has made (bench/profile.sh). The result is
/mnt/out/NAME.counts, a line "ADDRESS COUNT" for each instruction that was executed in the window: from
the FIRST time that one at a MARKER (16 hexadecimal digits) was executed to the LAST time; 0 is the
very last time. `stop` comes when the trace is over, and prints how many instructions that were.
"""

import collections
import os
import re
import signal
import sys
import time

PIPE = "/mnt/vm/trace"
STATE = "/mnt/vm/trace.pid"
# The longest that the rest of a trace may take to be read, in seconds.
PATIENCE = 600

# An instruction that is about to be executed, and one that is not, since the emulator stops first.
LINE = re.compile(rb"^(?:Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]{16})/|Stopped execution of TB chain before)",
                  re.MULTILINE)


def blocks():
    """The addresses of executed instructions, in lists."""
    rest = b""
    places = []
    with open(PIPE, "rb", buffering=0) as trace:
        while block := trace.read(1 << 20):
            block = rest + block
            end = block.rfind(b"\n") + 1
            rest = block[end:]
            for place in LINE.findall(block, 0, end):
                if place:
                    places.append(place)
                elif places:
                    places.pop()
            # The last one may turn out not to have been executed.
            yield places[:-1]
            places = places[-1:]
    yield places


def passages(places, marker):
    """Where the marker is in the list."""
    at = -1
    for _ in range(places.count(marker)):
        at = places.index(marker, at + 1)
        yield at


def collect(markers, first, last):
    """Reads the trace to its end. Returns the counts in the window."""
    total, part, passed = collections.Counter(), collections.Counter(), 0
    for places in blocks():
        begin = 0
        for at in sorted(at for marker in markers for at in passages(places, marker)):
            part.update(places[begin:at])
            if passed >= first and (last == 0 or passed < last):
                total.update(part)
            passed += 1
            part = collections.Counter()
            begin = at
        part.update(places[begin:] if begin else places)
    return total


def start(name, markers, first, last):
    """Leaves a process behind that reads the trace."""
    if os.path.exists(PIPE):
        os.unlink(PIPE)
    os.mkfifo(PIPE)
    child = os.fork()
    if child:
        with open(STATE, "w", encoding="ascii") as file:
            file.write(f"{child}\n")
        return
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    path = f"/mnt/out/{name}.counts"
    with open(path + ".new", "w", encoding="ascii") as file:
        for place, count in sorted(collect(markers, first, last).items()):
            file.write(f"{place.decode()} {count}\n")
    os.rename(path + ".new", path)
    os._exit(0)


def stop(name):
    """Waits for that process."""
    path = f"/mnt/out/{name}.counts"
    deadline = time.monotonic() + PATIENCE
    while not os.path.exists(path):
        if time.monotonic() > deadline:
            with open(STATE, encoding="ascii") as file:
                os.kill(int(file.read()), signal.SIGKILL)
            sys.exit("Error: the trace does not end")
        time.sleep(0.05)
    with open(path, encoding="ascii") as file:
        print(sum(int(line.split()[1]) for line in file))


if sys.argv[1:2] == ["start"] and len(sys.argv) == 6:
    start(sys.argv[2], sys.argv[3].encode().split(b","), int(sys.argv[4]), int(sys.argv[5]))
elif sys.argv[1:2] == ["stop"] and len(sys.argv) == 3:
    stop(sys.argv[2])
else:
    sys.exit("Error: usage: start NAME MARKER FIRST LAST, or stop NAME")
