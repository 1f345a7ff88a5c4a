#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes a profile by function of what scripts/profile counted.

usage: profile.py FOLDER LOG MODULE DRIVER PROGRAM [ROWS]
  FOLDER   what the guest left behind: *.counts, *.symbols, *.sections
  LOG      what it printed: its WINDOW lines say what each count is about
  MODULE   side.ko, for the functions of the ring-3 library
  DRIVER   the driver's file, for its functions in ring 3
  PROGRAM  the traffic program
Prints, for each workload, instructions a packet by place and by function, native against optimised.
"""

import bisect
import collections
import json
import lzma
import os
import re
import subprocess
import sys
import tempfile

# src/../contract.rs: where things lie in a domain.
LIBRARY, STUBS, STUBS_END, DOMAIN_END = 0x10000000, 0x10200000, 0x10300000, 0x80000000
PLACES = ("kernel", "SIDE", "driver", "ring-3 library", "stubs", "peer's driver", "programs")
SOAK = "soak"


class Symbols:
    """Addresses and names, each symbol up to the next."""

    def __init__(self, rows):
        self.rows = sorted(rows)
        self.starts = [row[0] for row in self.rows]

    def find(self, address):
        """The row of the symbol that covers the address, or None."""
        at = bisect.bisect_right(self.starts, address) - 1
        return self.rows[at] if at >= 0 else None


def demangled(names):
    """Rust's names as they are written, without crate numbers."""
    wanted = sorted({name for name in names if name.startswith("_R")})
    said = subprocess.run(["c++filt"], input="\n".join(wanted), capture_output=True, text=True,
                          check=True).stdout.splitlines()
    return {name: re.sub(r"\[[0-9a-f]+\]", "", text) for name, text in zip(wanted, said)}


def readelf(option, path):
    """The words of each line that readelf prints."""
    text = subprocess.run(["readelf", "-W" + option, path], capture_output=True, text=True,
                          check=True).stdout
    return [line.split() for line in text.splitlines()]


def functions(path):
    """(section number, value, name) of the functions of a file."""
    return [(int(words[6]), int(words[1], 16), words[7]) for words in readelf("s", path)
            if len(words) >= 8 and words[3] == "FUNC" and words[6].isdigit()
            and not words[7].startswith("__pfx_")]


def section_names(path):
    """Names of sections by number."""
    found = {}
    for words in readelf("S", path):
        match = re.match(r"\[\s*(\d+)\]\s+(\S+)", " ".join(words))
        if match:
            found[int(match[1])] = match[2]
    return found


def library(module):
    """The functions of the ring-3 library, from the table in the module (side_stubs/ring3/)."""
    with tempfile.TemporaryDirectory() as folder:
        places = {words[7]: (int(words[6]), int(words[1], 16)) for words in readelf("s", module)
                  if len(words) >= 8 and words[7].startswith("side_ring3_") and words[6].isdigit()}
        number, begin = places["side_ring3_names"]
        _, end = places["side_ring3_names_end"]
        out = os.path.join(folder, "names")
        # Relocations make it a copy of the whole section.
        subprocess.run(["objcopy", "-O", "binary", "--only-section",
                        section_names(module)[number], module, out], check=True)
        with open(out, "rb") as file:
            table = file.read()[begin:end]
    rows, at = [], 0
    while at < len(table):
        offset, length = int.from_bytes(table[at:at + 4], "little"), table[at + 4]
        rows.append((LIBRARY + offset, table[at + 5:at + 5 + length].decode(), "ring-3 library"))
        at += 5 + length
    return rows


def driver(path, sections):
    """The functions of the driver in its domain."""
    with open(sections, encoding="ascii") as file:
        base, places = 0, {}
        for line in file:
            words = line.split()
            if len(words) == 1:
                base = int(words[0], 16)
            else:
                places.setdefault(words[0], base + int(words[1], 16))
    with tempfile.TemporaryDirectory() as folder:
        plain = os.path.join(folder, "driver.ko")
        with (lzma.open(path) if path.endswith(".xz") else open(path, "rb")) as file:
            with open(plain, "wb") as out:
                out.write(file.read())
        names = section_names(plain)
        return [(places[names[number]] + value, name, "driver")
                for number, value, name in functions(plain) if names.get(number) in places]


def kernel(path):
    """The kernel's functions and those of its modules, as /proc/kallsyms has them."""
    places = {"[side]": "SIDE", "[e1000e]": "driver", "[e1000]": "peer's driver"}
    rows = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if words[1] in "tTwW" and not words[2].startswith("__pfx_"):
                where = places.get(words[3], "kernel") if len(words) > 3 else "kernel"
                rows.append((int(words[0], 16), words[2], where))
    names = demangled([name for _, name, _ in rows])
    return [(address, names.get(name, name), where) for address, name, where in rows]


def program(path):
    """The functions of the traffic program."""
    return [(value, name, SOAK if name == "soak" else "programs")
            for _, value, name in functions(path)]


def tally(path, symbols, domain, own):
    """Instructions by (place, function), and how many of them soaked up idle time."""
    found, soaked = collections.Counter(), 0
    with open(path, encoding="ascii") as file:
        for line in file:
            words = line.split()
            address, count = int(words[0], 16), int(words[1])
            if address >> 47:
                row = symbols.find(address)
            elif STUBS <= address < STUBS_END:
                row = (0, "gates", "stubs")
            elif LIBRARY <= address < DOMAIN_END:
                row = domain.find(address) if domain else None
            else:
                row = own.find(address)
                if row and address - row[0] > 0x100000:
                    row = None
            _, name, where = row or (0, "others", "programs")
            if where == SOAK:
                soaked += count
            else:
                found[where, name] += count
    return found, soaked


def main():
    """Reads everything and prints a profile for each workload."""
    folder, log, module, driver_file, program_file = sys.argv[1:6]
    rows = int(sys.argv[6]) if len(sys.argv) > 6 else 40
    own = Symbols(program(program_file))
    windows = collections.defaultdict(dict)
    with open(log, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("WINDOW {"):
                window = json.loads(line[7:])
                windows[window["workload"], window["frame"]][window["mode"]] = window
    symbols, domains = {}, {}
    for (workload, frame), modes in windows.items():
        found = {}
        print(f"== {workload}, {frame} bytes: instructions a packet\n")
        for mode, window in modes.items():
            if mode not in symbols:
                symbols[mode] = Symbols(kernel(f"{folder}/{mode}.symbols"))
                path = f"{folder}/{mode}.sections"
                domains[mode] = Symbols(library(module) + driver(driver_file, path)) \
                    if os.path.exists(path) else None
            counts, soaked = tally(f"{folder}/{window['name']}.counts", symbols[mode],
                                   domains[mode], own)
            packets = window["packets"]
            found[mode] = {key: count / packets for key, count in counts.items()}
            total, clock = sum(found[mode].values()), window["instructions"] / packets
            print(f"{mode}: {total:,.0f} in the trace, {clock:,.0f} by the clock of the same run "
                  f"({total / clock * 100 - 100:+.1f} %); {soaked:,} instructions of idle time")
        order = [mode for mode in ("native", "base", "optimised") if mode in found]
        head = f"\n{'place':<70}" + "".join(f"{mode:>11}" for mode in order) + f"{'more':>11}"

        def row(name, values):
            more = values[-1] - values[0]
            print(f"{name[:69]:<70}" + "".join(f"{value:>11,.1f}" for value in values) + f"{more:>+11,.1f}")

        print(head)
        for place in PLACES:
            values = [sum(value for (where, _), value in found[mode].items() if where == place)
                      for mode in order]
            if any(values):
                row(place, values)
        row("all", [sum(found[mode].values()) for mode in order])
        print(head.replace("place", "function, by the difference", 1).replace(" " * 22, "", 1))
        keys = {key for mode in order for key in found[mode]}
        last, first = found[order[-1]], found[order[0]]
        keys = sorted(keys, key=lambda key: -abs(last.get(key, 0) - first.get(key, 0)))
        for where, name in keys[:rows]:
            row(f"{where}: {name}", [found[mode].get((where, name), 0) for mode in order])
        print()


main()
