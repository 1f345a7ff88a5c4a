#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Says how many instructions of a crossing each of its steps takes. Runs in the guest (bench/crossing.sh).

usage: crossing.py TRACE MACHINE MODULE OFFSETS SOURCES STEPS
  TRACE    what selftests/switcher/step.py said in the mode `order`: lines "# at ADDRESS INSTRUCTION"
  MACHINE  a name for the results
  MODULE   the file of the test module, with its debugging information
  OFFSETS  offsets.h of that module
  SOURCES  the folder of the sources, where the debugging information says they are
  STEPS    the table of steps
Prints "RESULT {...}" lines. The status is 1 if an instruction belongs to no step.
"""

import bisect
import collections
import json
import os
import re
import subprocess
import sys

DOMAIN_END = 1 << 31
LOADED = "/sys/module/side_selftest/sections/"


def run(*command):
    """The lines of a program's output."""
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()


def sections(module):
    """(address in memory, size, name) of the module's sections of code."""
    found = []
    for line in run("readelf", "-WS", module):
        match = re.match(r"\s*\[\s*\d+\]\s+(\S+)\s+PROGBITS\s+\S+\s+\S+\s+(\S+)\s+\S+\s+AX", line)
        if match and os.path.exists(LOADED + match[1]):
            with open(LOADED + match[1], encoding="ascii") as file:
                found.append((int(file.read(), 16), int(match[2], 16), match[1]))
    return found


def frames(module, section, offsets):
    """offset -> [(file, function, line)], the innermost first."""
    found, current = {}, None
    words = run("addr2line", "-C", "-f", "-i", "-a", "-j", section, "-e", module,
                *(hex(offset) for offset in offsets))
    at = 0
    while at < len(words):
        if re.fullmatch(r"0x[0-9a-f]+", words[at]):
            current = found.setdefault(int(words[at], 16), [])
            at += 1
            continue
        function = re.sub(r"::<.*>$", "", words[at]).split("::")[-1]
        path, _, line = words[at + 1].split(" (")[0].rpartition(":")
        current.append((os.path.normpath(path), function, int(line) if line.isdigit() else 0))
        at += 2
    return found


class Symbols:
    """The nearest symbol below an address."""

    def __init__(self, rows):
        self.rows = sorted(rows)

    def find(self, address):
        at = bisect.bisect_right(self.rows, (address, "\x7f")) - 1
        return self.rows[at][1] if at >= 0 else "?"


def kernel_symbols():
    """Functions of the kernel and of all modules."""
    with open("/proc/kallsyms", encoding="ascii") as file:
        lines = [line.split() for line in file]
    return Symbols((int(words[0], 16), words[2]) for words in lines
                   if words[1] in "tTwW" and not words[2].startswith("__pfx_"))


class Names:
    """Offsets of the context, the frame and the TSS by their names."""

    def __init__(self, path):
        self.context, self.rest = {}, {}
        with open(path, encoding="ascii") as file:
            for name, value in re.findall(r"#define (SIDE_\w+) (\d+)", file.read()):
                if name.startswith("SIDE_FRAME_") or name == "SIDE_TSS_SP0":
                    self.rest[int(value)] = name
                elif not re.match(r"SIDE_(TSS_|KERNEL|CONTEXT|IO_|CEA)", name):
                    self.context[int(value)] = name

    def put(self, text):
        """The instruction with names: %rdi holds the context, %rax the frame or the TSS."""
        def named(match):
            table = self.context if match[2] == "rdi" else self.rest
            return f"{table.get(int(match[1] or '0', 16), match[1])}(%{match[2]})"
        return re.sub(r"(?:0x([0-9a-f]+))?\(%(rdi|rax)\)", named, text)


class Source:
    """Lines of files, without what surrounds them."""

    def __init__(self, folder):
        self.folder, self.files = folder, {}

    def line(self, path, number):
        """The line, or nothing where the compiler gives none."""
        if path not in self.files:
            full = path if os.path.isabs(path) else os.path.join(self.folder, path)
            lines = []
            if os.path.exists(full):
                with open(full, encoding="utf-8") as file:
                    lines = file.read().splitlines()
            self.files[path] = lines
        lines = self.files[path]
        return lines[number - 1].strip() if 0 < number <= len(lines) else ""


def table(path):
    """(group, step, place, source, instruction) of each line, the last three compiled."""
    rows = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            words = line.rstrip("\n").split("\t")
            if line.startswith("#") or len(words) != 5:
                continue
            rows.append((words[0], words[1], *(re.compile(word) for word in words[2:])))
    return rows


def step_of(rows, places, text, before):
    """The (group, step) of an instruction; None if no line matches."""
    for group, step, place, source, instruction in rows:
        for name, line in places:
            if place.fullmatch(name) and (source.pattern == "." or source.search(line)) and \
                    (instruction.pattern == "." or instruction.search(text)):
                return before if step == "=" else (group, step)
    return None


def main():
    """Reads the trace, classifies each instruction, prints the sums."""
    trace, machine, module, offsets, folder, steps = sys.argv[1:]
    with open(trace, encoding="ascii") as file:
        executed = [(int(words[2], 16), " ".join(words[3:])) for words in map(str.split, file)
                    if words[:2] == ["#", "at"]]
    if not executed:
        sys.exit("crossing: the trace is empty")
    rows, names, source = table(steps), Names(offsets), Source(folder)
    loaded = sections(module)
    wanted = collections.defaultdict(set)
    for address, _ in executed:
        for begin, size, name in loaded:
            if begin <= address < begin + size:
                wanted[name, begin].add(address - begin)
    chains = {}
    for (name, begin), found in wanted.items():
        for offset, chain in frames(module, name, sorted(found)).items():
            chains[begin + offset] = chain
    symbols, counts, strangers, before = kernel_symbols(), collections.Counter(), [], None
    for address, text in executed:
        if address < DOMAIN_END:
            places = [("ring 3", "")]
        elif address not in chains:
            places = [("kernel:" + symbols.find(address), "")]
        elif chains[address] and chains[address][-1][0].endswith("/switch.S"):
            path, _, number = chains[address][-1]
            places = [("switch.S:" + symbols.find(address), source.line(path, number))]
            text = names.put(text)
        else:
            # Outer functions last: a line of the table names the one that it means.
            places = [("/".join(path.split("/")[-2:]) + ":" + function, source.line(path, number))
                      for path, function, number in chains[address]]
            places += [(name.split("/")[-1], line) for name, line in places]
        found = step_of(rows, places, text, before)
        if found is None:
            strangers.append(f"{places[0][0]} {places[0][1]} {text}")
            found = ("none", "belongs to no step")
        before = found
        counts[found] += 1
    order = list(dict.fromkeys((group, step) for group, step, *_ in rows if step != "="))
    for place, key in enumerate([key for key in order + [("none", "belongs to no step")] if counts[key]]):
        print("RESULT " + json.dumps({"part": "crossing", "machine": machine, "place": place,
                                      "group": key[0], "step": key[1], "instructions": counts[key]}))
    for line in strangers:
        print("no step: " + line)
    return 1 if strangers else 0


sys.exit(main())
