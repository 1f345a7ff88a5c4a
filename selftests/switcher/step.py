#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Injects NMIs and machine checks at chosen instructions of the switch, from outside of the guest.

Runs beside the emulator (scripts/vm --gdb), called by a guest test through
`vm-monitor '!step MODE KEY=VALUE...'`, while programs in the guest cross rings on every CPU.
A breakpoint of the emulator's gdb stub stops a CPU before an instruction; the event is injected
there, so it is taken at exactly this instruction; the breakpoint hits again when its handler has
returned. Both times all registers (segments, their bases, control registers and EFER included) and
what lies on the stack are read, and must be the same. The kernel's own counts of NMIs, read from
the guest's memory, must have gone up by one on each CPU before the next is sent.

  trace    which instructions one crossing executes
  order    each instruction of a crossing, in the order in which it is executed
  nmi      an NMI at each of them, on each CPU, `rounds` times
  nested   a second NMI at each instruction of the code that handles the first
  mce      a machine check that software survives, at each of them
  there    one monitor command (command=) while CPU 0 is at an address of ring 3 (at=)
  df       a bad stack pointer behind the entry's LIDT: the way to the double fault's report

KEY=VALUE: enter= start= end= fatal= (addresses of the switch's text), counts= (physical addresses of the
CPUs' NMI counts, with commas), code=FROM-TO (further kernel text), rounds=N, every=N (of the code
around the assembly, only each Nth instruction), limit=SECONDS (nothing is sent after that), most=N
(instructions of the assembly in one crossing), stride=N (machine checks at each Nth instruction).
The answer is KTAP with numbers from `first=`.
"""

import collections
import os
import socket
import subprocess
import sys
import time

REGISTERS = (
    "rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip/8 eflags/4 cs/4 ss/4 ds/4 "
    "es/4 fs/4 gs/4 fs_base gs_base k_gs_base cr0 cr2 cr3 cr4 cr8 efer"
).split()
# CR2 belongs to whoever takes a page fault; the resume flag is the breakpoint's own business.
RESUME_FLAG = 1 << 16
MONITOR_TIME = 20.0
# Bytes of an instruction.
LONGEST = 15


class Gone(Exception):
    """The emulator said nothing for too long."""


class Gdb:
    """The remote protocol of the emulator's gdb stub, as much of it as this needs."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.buffer = b""
        self.breakpoint = None

    def packet(self, data):
        checksum = sum(data.encode()) % 256
        self.socket.sendall(f"${data}#{checksum:02x}".encode())

    def receive(self, timeout=MONITOR_TIME):
        """The next packet, or None when there is none in time."""
        deadline = time.monotonic() + timeout
        while True:
            start = self.buffer.find(b"$")
            end = self.buffer.find(b"#", start + 1)
            if start >= 0 and 0 <= end and len(self.buffer) >= end + 3:
                data = self.buffer[start + 1:end].decode()
                self.buffer = self.buffer[end + 3:]
                self.socket.sendall(b"+")
                return data
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                received = self.socket.recv(65536)
            except socket.timeout:
                return None
            if not received:
                raise Gone("the emulator closed the connection")
            self.buffer += received

    def ask(self, data):
        self.packet(data)
        answer = self.receive()
        if answer is None:
            raise Gone(f"no answer to {data}")
        return answer

    def monitor(self, command):
        self.packet("qRcmd," + command.encode().hex())
        text = ""
        while True:
            answer = self.receive()
            if answer is None:
                raise Gone(f"no answer to {command}")
            if answer == "OK" or answer.startswith("E"):
                return text
            text += bytes.fromhex(answer[1:]).decode()

    def stopped(self, timeout):
        """The number of the CPU that stopped, from 0; None if none did in time."""
        answer = self.receive(timeout)
        if answer is None:
            return None
        if not answer.startswith("T"):
            raise Gone(f"unexpected: {answer}")
        thread = [part[7:] for part in answer[3:].split(";") if part.startswith("thread:")]
        return int(thread[0].split(".")[-1], 16) - 1

    def go_on(self, timeout):
        """Runs all CPUs until one stops; None if it had to be stopped from here."""
        self.packet("vCont;c")
        cpu = self.stopped(timeout)
        if cpu is None:
            self.socket.sendall(b"\x03")
            if self.stopped(MONITOR_TIME) is None:
                raise Gone("the machine does not stop")
        return cpu

    def step(self, cpu):
        self.packet(f"vCont;s:{cpu + 1:x}")
        if self.stopped(MONITOR_TIME) is None:
            raise Gone("a single step does not end")

    def registers(self, cpu):
        self.ask(f"Hg{cpu + 1:x}")
        data = bytes.fromhex(self.ask("g"))
        values, at = {}, 0
        for name in REGISTERS:
            name, _, size = name.partition("/")
            size = int(size or 8)
            values[name] = int.from_bytes(data[at:at + size], "little")
            at += size
        return values

    def memory(self, address, length):
        """Memory as the CPU last asked about sees it; None where nothing is mapped."""
        data = b""
        while len(data) < length:
            # Two digits a byte, in packets of at most 4096.
            part = min(length - len(data), 1024)
            answer = self.ask(f"m{address + len(data):x},{part:x}")
            if answer.startswith("E"):
                return None
            data += bytes.fromhex(answer)
        return data

    def physical(self, address, length):
        self.ask("Qqemu.PhyMemMode:1")
        data = self.memory(address, length)
        self.ask("Qqemu.PhyMemMode:0")
        return data

    def break_at(self, address):
        if self.breakpoint is not None:
            self.ask(f"z1,{self.breakpoint:x},1")
        self.breakpoint = address
        if address is not None:
            self.ask(f"Z1,{address:x},1")

    def detach(self):
        self.break_at(None)
        self.packet("D")


class Stepper:
    """One call: what is asked for, and the results so far."""

    def __init__(self, gdb, arguments):
        self.gdb = gdb
        self.enter = int(arguments["enter"], 16)
        self.fatal = int(arguments.get("fatal", "0"), 16)
        self.text = (int(arguments["start"], 16), int(arguments["end"], 16))
        self.ranges = [self.text, (0, 1 << 31)]
        for part in arguments.get("code", "").split(","):
            if part:
                self.ranges.append(tuple(int(end, 16) for end in part.split("-")))
        self.counts = [int(n, 16) for n in arguments["counts"].split(",")]
        self.rounds = int(arguments.get("rounds", 1))
        self.every = int(arguments.get("every", 1))
        self.limit = float(arguments.get("limit", 400))
        self.stride = int(arguments.get("stride", 1))
        self.most = int(arguments.get("most", 110))
        self.number = int(arguments.get("first", 1))
        self.keep_code = False
        self.code = {}
        self.lines = []
        self.hits = collections.Counter()
        self.problems = []

    def result(self, good, what):
        self.lines.append(f"{'ok' if good else 'not ok'} {self.number} {what}")
        self.number += 1

    def note(self, text):
        self.lines.append(f"# {text}")

    def nmi_counts(self):
        return [int.from_bytes(self.gdb.physical(at, 4), "little") for at in self.counts]

    def reach(self, address, cpu, timeout=5.0):
        """Runs until this CPU is before the instruction. Others that come by are sent on."""
        self.gdb.break_at(address)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            found = self.gdb.go_on(timeout)
            if found is None:
                return False
            if found == cpu:
                return True
            self.pass_by(found)
        return False

    def pass_by(self, cpu):
        address = self.gdb.breakpoint
        self.gdb.break_at(None)
        self.gdb.step(cpu)
        self.gdb.break_at(address)

    def state(self, cpu):
        registers = self.gdb.registers(cpu)
        del registers["cr2"]
        registers["eflags"] &= ~RESUME_FLAG
        stack = None
        if registers["cs"] & 3 == 0:
            stack = self.gdb.memory(registers["rsp"], 128)
        return registers, stack

    def trace(self):
        """Addresses that one crossing executes, from one call of the switch to the next."""
        self.reach(self.enter, 0, 20.0)
        self.gdb.ask("Hg1")
        listing = disassemble(self.gdb.memory(self.text[0], self.text[1] - self.text[0]),
                              self.text[0])
        self.iretq = next(address for address, text in listing
                          if address > self.enter and text.startswith("iretq"))
        self.gdb.break_at(None)
        seen, order = set(), []
        for _ in range(20000):
            self.gdb.ask("Hg1")
            rip = int.from_bytes(bytes.fromhex(self.gdb.ask("p10")), "little")
            if order and rip == self.enter:
                break
            order.append(rip)
            if self.keep_code and rip not in self.code:
                self.code[rip] = self.gdb.memory(rip, LONGEST) or b""
            if any(low <= rip < high for low, high in self.ranges):
                seen.add(rip)
            self.gdb.step(0)
        else:
            self.problems.append("the crossing does not come round")
        self.order = order
        self.total = len(order)
        return sorted(seen)

    def in_order(self):
        """One crossing as it is executed; `rounds` more must be the same."""
        self.keep_code = True
        self.trace()
        first = self.order
        texts = disassemble_each(self.code)
        for address in first:
            self.note(f"at {address:#x} {texts[address]}")
        same = 0
        for _ in range(self.rounds):
            self.trace()
            same += self.order == first
        self.result(same == self.rounds, f"{self.rounds} more crossings execute the same "
                    f"{len(first)} instructions")

    def inject(self, address, cpu, command, expected=1):
        """One event at this instruction of this CPU; returns the monitor's answer, which is empty
        for a good command. What went wrong goes to the problems."""
        where = f"{command.split()[0]} at {self.name(address)} on CPU {cpu}"
        if not self.reach(address, cpu):
            self.problems.append(f"{where}: not reached")
            return ""
        before, counted = self.state(cpu), self.nmi_counts()
        answer = self.gdb.monitor(command)
        while True:
            found = self.gdb.go_on(10.0)
            if found is None:
                registers = self.gdb.registers(cpu)
                self.problems.append(f"{where}: did not come back, rip {registers['rip']:#x}")
                return ""
            if found == cpu:
                after = self.state(cpu)
                # The first instructions of an exit also serve the NMI, deeper in the stack.
                if after[0]["rsp"] == before[0]["rsp"] or after[0]["cs"] & 3:
                    break
            self.pass_by(found)
        for name, value in before[0].items():
            if after[0][name] != value:
                self.problems.append(f"{where}: {name} was {value:#x}, is {after[0][name]:#x}")
        if before[1] != after[1]:
            self.problems.append(f"{where}: the stack changed")
        self.hits[address, cpu] += 1
        self.settle(where, counted, expected)
        return answer

    def machine_checks(self):
        """A machine check that software survives, at each instruction of the assembly."""
        begin = time.monotonic()
        targets = [address for address in self.trace() if self.kind(address) != "Rust"][::self.stride]
        for address in targets:
            if len(self.problems) < 20 and time.monotonic() - begin < self.limit:
                # Found by a memory scrubber: uncorrected, no action required, restartable. All
                # CPUs of the package are told.
                answer = self.inject(address, 0, "mce -b 0 1 0xb1000000000000c0 5 0 0", expected=0)
                # None may come while a CPU is still at the last one: that would be a reset.
                for cpu in range(1, len(self.counts)):
                    if not self.reach(self.enter, cpu, 20.0):
                        self.problems.append(f"CPU {cpu} does not go on after a machine check")
                if answer:
                    self.problems.append(answer.strip())
        self.histogram()
        missing = [address for address in targets if not self.hits[address, 0]]
        self.result(not missing, f"{len(self.hits)} machine checks at instructions of the switch")

    def double_fault(self):
        """The way of a double fault, up to the call that ends in a panic; then it never was."""
        self.reach(self.enter, 0, 20.0)
        self.gdb.ask("Hg1")
        listing = disassemble(self.gdb.memory(self.text[0], self.text[1] - self.text[0]),
                              self.text[0])
        own_idt = next(address for address, text in listing
                       if address > self.enter and text.startswith("lidt"))
        self.reach(own_idt, 0)
        self.gdb.break_at(None)
        before = self.state(0)
        self.gdb.ask("Hg1")
        saved = self.gdb.ask("g")
        self.gdb.step(0)
        # The next push faults, and so does the delivery of that fault.
        self.gdb.ask("Hg1")
        self.gdb.ask("P7=" + (0x7000).to_bytes(8, "little").hex())
        self.reach(self.fatal, 0, 10.0)
        after = self.gdb.registers(0)
        frame = self.gdb.memory(after["rsi"], 22 * 8) or bytes(22 * 8)
        vector, rip, stack = (int.from_bytes(frame[at * 8:at * 8 + 8], "little")
                              for at in (15, 17, 20))
        self.note(f"vector {vector}, rip {self.name(rip)}, sp {stack:#x}; report on "
                  f"{after['rsp']:#x}")
        self.result(vector == 8 and self.text[0] <= rip < self.text[1] and stack == 0x7000,
                    "a fault on a bad stack is a double fault on the stack of its own")
        # The report needs Linux's world.
        same = [name for name in ("cr3", "cr0", "gs_base", "cr4") if after[name] == before[0][name]]
        for name in ("cr3", "cr0", "gs_base", "cr4"):
            if name not in same:
                self.note(f"{name} was {before[0][name]:#x}, is {after[name]:#x}")
        self.result(len(same) == 4 and after["rsp"] >> 56 == 0xff,
                    "the report of it runs with Linux's state in place")
        self.gdb.break_at(None)
        self.gdb.ask("Hg1")
        self.gdb.ask("G" + saved)
        # The stack pointer is at the context here, where the report keeps CR2: not compared.
        registers = self.state(0)[0]
        different = [name for name, value in before[0].items() if registers[name] != value]
        if different:
            self.problems.append("these do not come back: " + " ".join(different))

    def settle(self, where, counted, expected):
        """Waits until each CPU has counted what was sent."""
        self.gdb.break_at(None)
        for _ in range(200):
            now = self.nmi_counts()
            if all(n - before >= expected for n, before in zip(now, counted)):
                break
            self.gdb.go_on(0.005)
        if [n - before for n, before in zip(now, counted)] != [expected] * len(now):
            self.problems.append(f"{where}: counts went from {counted} to {now}")

    def name(self, address):
        low, high = self.text
        if low <= address < high:
            return f"switch+{address - low:#x}"
        return f"{address:#x}"

    def kind(self, address):
        if address < 1 << 31:
            return "ring 3"
        low, high = self.text
        return "assembly" if low <= address < high else "Rust"

    def histogram(self):
        by_address = collections.defaultdict(list)
        for (address, cpu), count in self.hits.items():
            by_address[address].append((cpu, count))
        row = []
        for address in sorted(by_address):
            counts = "+".join(str(count) for _, count in sorted(by_address[address]))
            row.append(f"{self.name(address)}:{counts}")
            if len(row) == 8:
                self.note(" ".join(row))
                row = []
        if row:
            self.note(" ".join(row))

    def everywhere(self, command, what, expected=1):
        """One event at each instruction of a crossing, on each CPU, so many rounds."""
        begin = time.monotonic()
        targets = self.trace()
        kinds = collections.Counter(self.kind(address) for address in targets)
        self.note(f"a crossing executes {self.total} instructions, of them here "
                  + ", ".join(f"{kinds[kind]} in {kind}" for kind in sorted(kinds)))
        entry = sum(self.enter <= address <= self.iretq for address in targets)
        bare = kinds["assembly"] + 1
        self.note(f"bare crossing: {entry} to enter, 1 gate, {bare - 1 - entry} to leave")
        self.result(bare <= self.most, f"a bare crossing with all registers takes {bare} "
                    f"instructions, at most {self.most}")
        if kinds["assembly"] < 60:
            self.problems.append("the trace has too few instructions of the switch")
        chosen = [address for n, address in enumerate(targets)
                  if self.kind(address) == "assembly" or n % self.every == 0]
        start = self.nmi_counts()
        for _ in range(self.rounds):
            for cpu in range(len(self.counts)):
                for address in chosen:
                    if len(self.problems) < 20 and time.monotonic() - begin < self.limit:
                        self.inject(address, cpu, command, expected)
        sent = sum(self.hits.values())
        missing = [self.name(address) for address in chosen
                   for cpu in range(len(self.counts)) if not self.hits[address, cpu]]
        self.histogram()
        self.note(f"{sent} sent at {len(chosen)} instructions on {len(self.counts)} CPUs in "
                  f"{time.monotonic() - begin:.0f} s")
        self.result(not missing, f"{what} at each instruction of the switch, on each CPU")
        counted = [now - before for now, before in zip(self.nmi_counts(), start)]
        self.result(counted == [sent * expected] * len(counted),
                    f"{sent} {what}s: none lost, none too many")

    def nested(self):
        """A second NMI inside the handling of a first one that hit a window."""
        targets = [address for address in self.trace() if self.kind(address) == "assembly"]
        self.reach(self.enter, 0)
        self.gdb.registers(0)
        listing = disassemble(self.gdb.memory(self.text[0], self.text[1] - self.text[0]),
                              self.text[0])
        boundaries = [address for address, text in listing if not text.startswith("int3")]
        # The entry's IRETQ: own IDT, the view's CR3, registers of ring 3.
        window = next(address for address, text in listing
                      if address > self.enter and text.startswith("iretq"))
        begin = time.monotonic()
        done = 0
        for address in boundaries:
            if address < self.text[0] + 4096 or address in targets:
                continue
            if len(self.problems) > 20 or time.monotonic() - begin > self.limit:
                break
            if self.second(window, address):
                done += 1
        self.note(f"a second NMI at {done} instructions of the handling of a first")
        self.result(done >= 20, "an NMI inside the handling of an NMI in a window")

    def second(self, window, address):
        """Whether the instruction was reached, and so interrupted."""
        if not self.reach(window, 0):
            self.problems.append("the window is not reached")
            return False
        before, counted = self.state(0), self.nmi_counts()
        self.gdb.break_at(address)
        self.gdb.ask(f"Z1,{window:x},1")
        self.gdb.monitor("nmi")
        sent = 1
        while True:
            found = self.gdb.go_on(10.0)
            if found is None:
                self.problems.append(f"second NMI at {self.name(address)}: hangs")
                return False
            if found != 0:
                self.gdb.ask(f"z1,{window:x},1")
                self.pass_by(found)
                self.gdb.ask(f"Z1,{window:x},1")
                continue
            rip = self.gdb.registers(0)["rip"]
            if rip == window:
                break
            sent += 1
            self.gdb.break_at(None)
            self.gdb.monitor("nmi")
        self.gdb.ask(f"z1,{window:x},1")
        after = self.state(0)
        if before != after:
            self.problems.append(f"second NMI at {self.name(address)}: the state changed")
        self.gdb.break_at(None)
        for _ in range(200):
            now = self.nmi_counts()[0] - counted[0]
            if now >= sent:
                break
            self.gdb.go_on(0.005)
        if now != sent:
            self.problems.append(f"second NMI at {self.name(address)}: {now} counted of {sent}")
        return sent > 1

    def finish(self):
        for problem in self.problems[:20]:
            self.note(problem)
        self.result(not self.problems, "registers, segments, control registers and stack are as "
                    "they were, each time")
        return "\n".join(self.lines) + "\n"


def disassemble(code, address):
    """Where the instructions begin, in the text as the kernel has patched it."""
    path = f"/tmp/step.{os.getpid()}"
    with open(path, "wb") as file:
        file.write(code)
    listing = subprocess.run(
        ["objdump", "-D", "-b", "binary", "-m", "i386:x86-64", "-w",
         f"--adjust-vma={address:#x}", path], stdout=subprocess.PIPE, text=True, check=True)
    os.unlink(path)
    starts = []
    for line in listing.stdout.splitlines():
        parts = line.split("\t")
        if len(parts) > 2 and parts[0].endswith(":"):
            starts.append((int(parts[0][:-1], 16), parts[2].strip()))
    return starts


def disassemble_each(code):
    """The text of the instruction that each piece begins with, by its address."""
    slot, blob = 2 * LONGEST, b""
    for piece in code.values():
        # What follows the instruction may be read as the beginning of another, which ends in these.
        blob += piece.ljust(slot, b"\x90")
    starts = dict(disassemble(blob, 0))
    return {address: starts[number * slot] for number, address in enumerate(code)}


def there(gdb, address, command):
    """The command's answer; it is given while CPU 0 is before this instruction in ring 3."""
    gdb.break_at(address)
    cpu = gdb.go_on(20.0)
    if cpu != 0 or gdb.registers(0)["cs"] & 3 != 3:
        return f"Error: CPU 0 is not in ring 3 at {address:#x}\n"
    return gdb.monitor(command)


def main():
    """Does one call and prints its KTAP."""
    mode = sys.argv[1]
    arguments = dict(argument.split("=", 1) for argument in sys.argv[2:])
    gdb = Gdb(os.environ["SIDE_GDB"])
    gdb.ask("qSupported")
    if mode == "there":
        try:
            sys.stdout.write(there(gdb, int(arguments["at"], 16), arguments["command"]))
        except Gone as problem:
            sys.stdout.write(f"Error: {problem}\n")
        finally:
            gdb.detach()
        return
    stepper = Stepper(gdb, arguments)
    try:
        if mode == "nmi":
            stepper.everywhere("nmi", "NMI")
        elif mode == "nested":
            stepper.nested()
        elif mode == "mce":
            stepper.machine_checks()
        elif mode == "df":
            stepper.double_fault()
        elif mode == "order":
            stepper.in_order()
        elif mode == "trace":
            for address in stepper.trace():
                stepper.note(stepper.name(address))
        else:
            raise SystemExit(f"step: {mode} is none of trace, order, there, nmi, nested, mce, df")
    except Gone as problem:
        stepper.problems.append(str(problem))
    finally:
        # Without this the machine would stay stopped.
        gdb.detach()
    sys.stdout.write(stepper.finish())


if __name__ == "__main__":
    main()
