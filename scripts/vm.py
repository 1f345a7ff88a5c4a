#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Boots the packaged kernel under QEMU and runs one command in it.

Runs inside the build root (scripts/vm enters it). The guest's root file system is the build
root itself, read-only over virtiofs with a tmpfs on top, so that the guest can write anywhere
and nothing survives it. virtme-ng does the same, and was left for three reasons: its serial
console carries the command's output and the kernel's log mixed, a panic ends as a time-out, and
its init starts udev and more, which costs seconds of emulation at every boot.

Channels, each a unix socket served here:
  console  the first UART: the kernel's log, watched for panics, oopses and warnings
  out      the command's output, shown as it comes, ended by a marker with the exit status
  ctl      the guest says "ready"; told "bye" once everything it wrote has been read
  mon      the guest's vm-monitor sends monitor commands and gets their answers
  files    a tar archive of /out, when --out is given

With --root image the root is an erofs image of the build root on a virtio disk, since a machine
with a virtiofs mount cannot be suspended; scripts/root_image.py makes it. The checkout's tests and
modules then come in the initramfs.
"""

import argparse
import asyncio
import hashlib
import io
import json
import lzma
import os
import random
import re
import secrets
import shlex
import shutil
import signal
import sys
import tarfile
import time

import root_image

SESSION = "/mnt/vm"  # on a tmpfs that scripts/in-root makes for this run alone
GDB = f"{SESSION}/gdb.socket"
STATE_KEPT = f"{SESSION}/rounds.state"
STATE = "/var/lib/side"

# Exit statuses of our own; anything else is the command's.
EXIT_KERNEL, EXIT_TIMEOUT, EXIT_HARNESS = 123, 124, 125

# What in the kernel's log makes the run a failure, whatever the command returned.
TROUBLE = re.compile(
    r"Kernel panic - not syncing|\bOops\b.*:|BUG: |\bBUG [a-z0-9_-]+ .*:|WARNING: .* at |"
    r"general protection fault|double fault|kernel BUG at|soft lockup|hard LOCKUP|"
    r"INFO: task .* blocked for more|rcu.*(self-)?detected stall|rcu.*detected expedited stalls|"
    r"UBSAN: |BUG: KFENCE|refcount_t: |Unpatched return thunk|unchecked MSR access|"
    r"list_(add|del) corruption|scheduling while atomic|bad page state|Out of memory: Killed"
)

STRICT = (
    "slub_debug=FZPU kfence.sample_interval=1 page_poison=1 init_on_free=1 panic_on_warn=1 "
    "oops=panic softlockup_panic=1 hung_task_panic=1"
)


def parse_arguments():
    """The command line; everything after -- is the command."""
    parser = argparse.ArgumentParser(
        prog="vm",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="vm [OPTION]... -- COMMAND [ARGUMENT]...",
        description="Boots the packaged kernel and runs COMMAND in it as root. A single argument is "
        "a shell command line, several are run as they stand.",
        epilog="""NICs: --nic MODEL[,net=user|hub[N]|socket|none][,DEVICE_OPTION=...][,net.OPTION=...]
  user    the emulator's own gateway, 10.0.2.2 (10.0.3.2 for the second NIC, ...); net.* go to
          its netdev
  hubN    NICs on the same hub N (default 0) of this guest hear each other
  socket  unix datagram socket: frames that --peer sends to $SIDE_NICn_QEMU reach the NIC, frames
          of the NIC go to $SIDE_NICn_PEER
Device ids are nic0, nic1, ... (for set_link, device_del); rp0 and rp1 are free hot-plug ports.
In the guest: /side is the checkout, /out is copied to --out DIR, `vm-monitor COMMAND...` runs a
monitor command and prints its answer; `vm-monitor after SECONDS COMMAND...` has it run later.
Exit status: the command's; 123 kernel trouble, 124 time-out, 125 the harness itself failed.""",
    )
    parser.add_argument("--smp", type=int, default=2, metavar="N")
    parser.add_argument("--memory", default="2G", metavar="M", help="default 2G")
    parser.add_argument("--accel", choices=["auto", "kvm", "tcg"], default="auto")
    parser.add_argument("--icount", action="store_true",
                        help="guest time counts instructions; one CPU, repeatable figures")
    parser.add_argument("--iommu", choices=["none", "intel", "amd"], default="none")
    parser.add_argument("--cpu", default="max", help="CPU model with features, default max")
    parser.add_argument("--nic", action="append", default=None, metavar="MODEL[,...]",
                        help="default: one e1000e on user networking; 'none' for no NIC")
    parser.add_argument("--peer", metavar="COMMAND", help="runs beside the emulator (see NICs)")
    parser.add_argument("--append", action="append", default=[], metavar="ARGS",
                        help="kernel command line")
    parser.add_argument("--qemu", action="append", default=[], metavar="ARGS",
                        help="further arguments for the emulator")
    parser.add_argument("--rounds", action="store_true",
                        help="with --root image: `vm-monitor '!round'` answers with a line of standard input, "
                             "a pipe; for a line `restore TEXT` the guest goes back to where it asked first, and "
                             "gets TEXT. That it panicked or was reset is a line `vm: round over: WHY`")
    parser.add_argument("--gdb", action="store_true",
                        help="the emulator's gdb stub, for helpers: in the guest, `vm-monitor "
                             "'!step ...'` runs selftests/switcher/step.py beside the emulator")
    parser.add_argument("--put", action="append", default=[], metavar="FILE[:GUEST_PATH]",
                        help="copy into the guest, default /put/NAME")
    parser.add_argument("--root", choices=["virtiofs", "image"], default="virtiofs",
                        help="image: on a disk; such a guest can suspend, and sees of the checkout "
                        "the selftests and what was built")
    parser.add_argument("--out", metavar="DIR", help="receives the guest's /out, and console.log")
    parser.add_argument("--timeout", type=float, default=300, metavar="S", help="default 300")
    parser.add_argument("--stall", type=float, default=0, metavar="S",
                        help="every few seconds, stop the emulator for up to so many, as a busy "
                        "host does: no test may mind")
    parser.add_argument("--strict", action="store_true", help="the kernel's own checkers")
    parser.add_argument("--allow", action="append", default=[], metavar="REGEX",
                        help="log lines that are no failure although they look like trouble")
    parser.add_argument("--brief", action="store_true",
                        help="no console log when it is only COMMAND that failed")
    parser.add_argument("--verbose", action="store_true", help="show the console and the timing")
    argv = sys.argv[1:]
    command = []
    if "--" in argv:
        split = argv.index("--")
        argv, command = argv[:split], argv[split + 1:]
    options = parser.parse_args(argv)
    if not command:
        parser.error("no command given after --")
    if options.rounds and options.root != "image":
        parser.error("--rounds wants --root image: a machine with a virtiofs mount cannot be brought back")
    options.command = command
    return options


# ---- What the guest boots: an initramfs of a static busybox and one module ----

def cpio(entries):
    """A newc archive of (name, mode, content) triples."""
    out = bytearray()
    for number, (name, mode, content) in enumerate(entries + [("TRAILER!!!", 0, b"")], 1):
        encoded = name.encode() + b"\0"
        fields = [number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0]
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        out += b"\0" * (-len(out) % 4) + content
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


def module_files(release, name):
    """The files of a module and what it depends on, in loading order."""
    base = f"/usr/lib/modules/{release}"
    with open(f"{base}/modules.dep", encoding="ascii") as deps:
        for line in deps:
            path, _, needs = line.partition(":")
            if re.sub(r"\.ko(\.xz|\.zst)?$", "", os.path.basename(path)) == name:
                return [f"{base}/{p}" for p in reversed(needs.split())] + [f"{base}/{path}"]
    return []  # built in


def initramfs(release, probe=False, image=False):
    """busybox, overlayfs and the first script; or, to probe, a script that only powers off.

    For a root on a disk the driver and the file system are added, and what else the guest needs."""
    with open("/usr/bin/busybox", "rb") as file:
        busybox = file.read()
    with open("/side/scripts/guest/initramfs-init", "rb") as file:
        script = file.read()
    if probe:
        script = b"#!/bin/busybox sh\n/bin/busybox poweroff -f\n"
    entries = [(folder, 0o40755, b"") for folder in
               ("bin", "dev", "proc", "modules", "lower", "upper", "root")]
    entries += [("bin/busybox", 0o100755, busybox), ("init", 0o100755, script)]
    wanted = [] if probe else ["overlay"] + (["virtio_blk", "erofs"] if image else [])
    paths = dict.fromkeys(path for name in wanted for path in module_files(release, name))
    for number, path in enumerate(paths):
        with (lzma.open(path) if path.endswith(".xz") else open(path, "rb")) as file:
            entries.append((f"modules/{number:02}.ko", 0o100644, file.read()))
    if image:
        entries += root_image.seed(SESSION)
    return cpio(entries)


# ---- The emulator's command line ----

def nic_arguments(options):
    """-netdev and -device arguments, and the environment that --peer finds its sockets in."""
    arguments, environment = [], {}
    nics = [] if options.nic == ["none"] else options.nic or ["e1000e"]
    for number, spec in enumerate(nics):
        model, *settings = spec.split(",")
        kind, device, netdev = "user", [], []
        for setting in settings:
            if setting.startswith("net="):
                kind = setting[4:]
            elif setting.startswith("net."):
                netdev.append(setting[4:])
            else:
                device.append(setting)
        if kind == "user":
            head = f"user,id=net{number},net=10.0.{2 + number}.0/24"
        elif re.fullmatch(r"hub\d*", kind):
            head = f"hubport,id=net{number},hubid={kind[3:] or 0}"
        elif kind == "socket":
            ours, peers = f"{SESSION}/nic{number}.qemu", f"{SESSION}/nic{number}.peer"
            head = (f"dgram,id=net{number},local.type=unix,local.path={ours},"
                    f"remote.type=unix,remote.path={peers}")
            environment[f"SIDE_NIC{number}_QEMU"] = ours
            environment[f"SIDE_NIC{number}_PEER"] = peers
        elif kind == "none":
            head = None
        else:
            raise SystemExit(f"vm: --nic {spec}: net={kind} is none of user, hub, socket, none")
        card = [model, f"id=nic{number}"]
        if head:
            arguments += ["-netdev", ",".join([head] + netdev)]
            card.append(f"netdev=net{number}")
        if not any(setting.startswith("mac=") for setting in device):
            card.append(f"mac=52:54:00:12:34:{0x56 + number:02x}")
        # No option ROM: the firmware would run its network boot code.
        arguments += ["-device", ",".join(card + ["romfile="] + device)]
    return arguments, environment


def emulator_arguments(options, release, accel):
    """The whole command line of QEMU, and the environment of the peer."""
    smp = 1 if options.icount else options.smp
    cpu = options.cpu
    if options.icount and cpu == "max":
        # An iteration of a `rep` instruction counts as one: byte-wise copies would look dear.
        cpu = "max,-erms,-fsrm,-fsrs"
    # The watchdog of the TSC was seen to hang a boot in ten: one CPU in `watchdog_check_skew`, the
    # other in `stop_machine`, both with interrupts off. An emulated TSC needs no watching.
    append = ["no_timer_check console=ttyS0,115200", "loglevel=4", "panic=-1", "net.ifnames=0",
              "random.trust_cpu=on", "tsc=nowatchdog"]
    if options.icount:
        # A tick that never stops: with no timer due, an idle CPU waits for an event of the host's,
        # and has been seen to miss it.
        append.append("nohz=off")
    if options.strict:
        append.append(STRICT)
    if accel == "tcg":
        accel_argument = "tcg" if options.icount or smp == 1 else "tcg,thread=multi"
    else:
        accel_argument = accel
    arguments = [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
        "-action", "reboot=reset" if options.rounds else "reboot=shutdown",
        # Memory as it lies in the file of a kept state: it loads several times as fast.
        "-global", "migration.mapped-ram=on",
        "-machine", "q35,memory-backend=ram,kernel-irqchip=split,hpet=on",
        "-accel", accel_argument, "-cpu", cpu, "-smp", str(smp), "-m", options.memory,
        "-object", f"memory-backend-memfd,id=ram,size={options.memory},share=on",
        "-kernel", f"/usr/lib/modules/{release}/vmlinuz", "-initrd", f"{SESSION}/initramfs",
    ]
    if options.icount:
        arguments += ["-icount", "shift=0,sleep=off"]
    if options.iommu == "intel":
        arguments += ["-device", "intel-iommu,intremap=on"]
        append.append("intel_iommu=on iommu.strict=1")
    elif options.iommu == "amd":
        arguments += ["-device", "amd-iommu,intremap=on"]
        append.append("iommu.strict=1")
    for name in ("console", "qmp", "out", "ctl", "mon", "files"):
        arguments += ["-chardev", f"socket,id={name},path={SESSION}/{name}.socket"]
    arguments += [
        "-serial", "chardev:console", "-mon", "chardev=qmp,mode=control",
    ]
    if options.root == "image":
        # The ports of a virtio console do not come back after a suspend; UARTs do.
        chardevs = (f"chardev{n}={name}" for n, name in enumerate(("out", "ctl", "mon", "files"), 1))
        arguments += ["-device", ",".join(["pci-serial-4x,addr=0x1e", *chardevs])]
        append.append("8250.nr_uarts=8")
        arguments += ["-drive", f"if=none,id=root,format=raw,readonly=on,file={options.image}",
                      "-device", "virtio-blk-pci,drive=root,addr=0x1d"]
    else:
        arguments += ["-device", "virtio-serial-pci,id=channels,addr=0x1e"]
        for name in ("out", "ctl", "mon", "files"):
            arguments += ["-device", f"virtserialport,chardev={name},name=side.{name}"]
        arguments += ["-chardev", f"socket,id=fs,path={SESSION}/fs.socket",
                      "-device", "vhost-user-fs-pci,chardev=fs,tag=root,addr=0x1d"]
    nics, environment = nic_arguments(options)
    arguments += nics
    for number in (0, 1):
        arguments += ["-device", f"pcie-root-port,id=rp{number},chassis={number + 1},"
                                 f"addr=0x{0x1b + number:x}"]
    if options.gdb:
        arguments += ["-gdb", f"unix:{GDB},server=on,wait=off"]
    for extra in options.qemu:
        arguments += shlex.split(extra)
    arguments += ["-append", " ".join(append + options.append)]
    return arguments, environment


async def kvm_boots(release):
    """Whether hardware virtualisation really runs this kernel; found out once per host boot.

    /dev/kvm can be there and the guest still die in its decompressor, so it is tried."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        key = hashlib.sha256((file.read() + release).encode()).hexdigest()
    path = f"{STATE}/kvm-probe"
    try:
        with open(path, encoding="ascii") as file:
            known, verdict = file.read().split()
            if known == key:
                return verdict == "yes"
    except (OSError, ValueError):
        pass
    with open(f"{SESSION}/probe", "wb") as file:
        file.write(initramfs(release, probe=True))
    process = await asyncio.create_subprocess_exec(
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-machine", "q35", "-accel", "kvm", "-cpu", "max", "-m", "512M", "-serial", "stdio",
        "-kernel", f"/usr/lib/modules/{release}/vmlinuz", "-initrd", f"{SESSION}/probe",
        "-append", "no_timer_check console=ttyS0 panic=-1",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT)
    verdict = "no"
    try:
        log, _ = await asyncio.wait_for(process.communicate(), 20)
        if process.returncode == 0 and b"Power down" in log:
            verdict = "yes"
    except asyncio.TimeoutError:
        process.kill()
        await process.wait()
    os.makedirs(STATE, exist_ok=True)
    with open(path + f".{os.getpid()}", "w", encoding="ascii") as file:
        file.write(f"{key} {verdict}\n")
    os.rename(file.name, path)
    return verdict == "yes"


# ---- The running machine ----

class Machine:
    """One run: the channels, what has been seen on them, and the verdict."""

    def __init__(self, options):
        self.options = options
        self.start_time = time.monotonic()
        self.token = secrets.token_hex(8)
        self.console = bytearray()
        self.console_scanned = 0
        self.trouble = []
        self.allow = [re.compile(expression) for expression in options.allow]
        self.status = None
        self.ready = asyncio.Event()
        self.channel = {}
        self.channel_open = {name: asyncio.Event() for name in
                             ("console", "qmp", "out", "ctl", "mon", "files")}
        self.qmp_answers = asyncio.Queue()
        self.qmp_lock = asyncio.Lock()
        self.delayed = set()  # monitor commands put off, held so that they are not collected
        self.shutdown_reason = None
        self.out_done = asyncio.Event()
        self.out_pending = b""
        self.rounds = None  # from the first round on
        self.round_asked = asyncio.Event()
        self.round_over = False
        self.restoring = False
        self.emulator = None
        self.arguments = []
        self.complaints = []

    def note(self, text):
        """A line about the run itself, on stderr."""
        print(f"vm: {text}", file=sys.stderr, flush=True)

    def timing(self, text):
        """A line that only --verbose shows."""
        if self.options.verbose:
            self.note(f"[{time.monotonic() - self.start_time:6.2f} s] {text}")

    async def serve(self, name, handler):
        """Listens for the one connection that QEMU makes for this channel."""
        async def connected(reader, writer):
            self.channel[name] = writer
            self.channel_open[name].set()
            try:
                await handler(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
        await asyncio.start_unix_server(connected, f"{SESSION}/{name}.socket", limit=1 << 24)

    async def on_console(self, reader, _writer):
        while data := await reader.read(1 << 16):
            self.console += data.replace(b"\r", b"")
            if self.options.verbose:
                sys.stderr.buffer.write(data.replace(b"\r", b""))
                sys.stderr.flush()
            end = self.console.rfind(b"\n") + 1
            lines = self.console[self.console_scanned:end].decode(errors="replace")
            self.console_scanned = max(self.console_scanned, end)
            for line in lines.splitlines():
                if TROUBLE.search(line) and not any(rx.search(line) for rx in self.allow):
                    self.trouble.append(line.strip())

    async def on_out(self, reader, _writer):
        """Passes the command's output on; holds back what may be the beginning of the marker."""
        marker = b"\0side-exit " + self.token.encode() + b" "
        while data := await reader.read(1 << 16):
            pending = self.out_pending + data
            found = pending.find(marker)
            if found >= 0 and b"\n" in pending[found:]:
                self.write_out(pending[:found])
                self.status = int(pending[found + len(marker):].split(b"\n")[0])
                self.out_pending = b""
                self.out_done.set()
                continue
            keep = pending.rfind(b"\0")
            if keep < 0 or not (marker.startswith(pending[keep:]) or pending[keep:].startswith(marker)):
                keep = len(pending)
            self.write_out(pending[:keep])
            self.out_pending = pending[keep:]
        self.write_out(self.out_pending)

    @staticmethod
    def write_out(data):
        sys.stdout.buffer.write(data)
        sys.stdout.flush()

    async def on_ctl(self, reader, writer):
        while line := await reader.readline():
            word = line.decode(errors="replace").strip()
            self.timing(f"guest: {word}")
            if word == "ready":
                self.ready.set()
            elif word == "done":
                await self.out_done.wait()
                writer.write(b"bye\n")

    async def on_files(self, reader, _writer):
        """One archive: its size as a line, then its bytes."""
        size = int(await reader.readline() or 0)
        if not size:
            return
        data = await reader.readexactly(size)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            archive.extractall(self.options.out, filter="tar")

    async def on_mon(self, reader, writer):
        """A line is a monitor command, or a QMP object; the answer is its length and its text."""
        while line := await reader.readline():
            command = line.decode(errors="replace").strip()
            self.timing(f"monitor: {command}")
            if command == "!round" and self.options.rounds:
                await self.on_round()
                continue
            if command.startswith("!"):
                answer = await self.run_helper(command[1:])
            elif command.startswith("{"):
                answer = json.dumps(await self.qmp_raw(json.loads(command)))
            else:
                answer = await self.monitor(command)
            await self.answer(writer, answer)

    @staticmethod
    async def answer(writer, text):
        """What the guest's vm-monitor waits for."""
        encoded = text.encode()
        writer.write(b"%d\n" % len(encoded) + encoded)
        await writer.drain()

    async def on_round(self):
        """The guest asks for the next line (--rounds). The first time, the machine's state is kept."""
        if not self.rounds:
            await self.qmp_raw({"execute": "migrate-set-parameters", "arguments": {"max-bandwidth": 1 << 40}})
            await self.qmp_raw({"execute": "migrate", "arguments": {"uri": f"file:{STATE_KEPT}"}})
            await self.until("query-migrate", "completed")
            self.timing("state kept")
            self.rounds = asyncio.create_task(self.hand_out_rounds())
        self.round_asked.set()

    async def hand_out_rounds(self):
        """Hands on the lines of standard input to a guest that waits, or to one that is brought back."""
        # The first state is brought back as well, so that all rounds begin alike.
        await self.restore()
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while line := await lines.readline():
            text = line.decode().rstrip("\n")
            if text.startswith("restore "):
                text = text.removeprefix("restore ")
                await self.restore()
            await self.answer_round(text)
        await self.answer_round("")

    async def answer_round(self, text):
        """Waits for the guest's question."""
        await self.round_asked.wait()
        self.round_asked.clear()
        await self.answer(self.channel["mon"], text)

    async def until(self, query, wanted):
        """Waits until a QMP query gives this status; raises for one from which it does not follow."""
        status = None
        while status != wanted:
            answer = await self.qmp_raw({"execute": query})
            # Before the greeting is over there is none.
            status = answer.get("return", {}).get("status")
            if status in ("failed", "cancelled", "internal-error"):
                raise SystemExit(f"vm: {query}: {answer['return']}")
            await asyncio.sleep(0.02)

    async def restore(self):
        """The machine as it was at its first round."""
        # In an emulator of its own: in the same one the guest's time would go on, and its kernel would
        # find that it stood still.
        self.round_over = self.restoring = True
        self.emulator.kill()
        await self.emulator.wait()
        if self.qmp_lock.locked():
            await self.qmp_answers.put({"error": {"desc": "the machine went back to an earlier state"}})
        await asyncio.sleep(0.05)  # what it said last has been read
        self.out_pending = b""
        self.write_out(b"\n")
        self.console_scanned = len(self.console)
        self.trouble.clear()
        for channel in self.channel_open.values():
            channel.clear()
        await self.start("-incoming", f"file:{STATE_KEPT}")
        for channel in self.channel_open.values():
            await channel.wait()
        await self.until("query-status", "running")
        self.round_asked.set()  # it had, when its state was kept
        self.round_over = self.restoring = False
        self.timing("state restored")

    def end_round(self, reason):
        """Says, once a round, that the guest came to its end."""
        if not self.round_over:
            self.round_over = True
            self.write_out(f"\nvm: round over: {reason}\n".encode())

    async def run_helper(self, line):
        """Runs a program beside the emulator for the guest; the answer is what it prints."""
        name, *arguments = shlex.split(line)
        paths = [f"/side/selftests/{folder}/{name}.py" for folder in ("switcher", "measure", "campaign")]
        path = next((path for path in paths if os.path.exists(path)), None)
        if not re.fullmatch(r"[a-z_]+", name) or path is None:
            return f"Error: there is no helper {name}\n"
        process = await asyncio.create_subprocess_exec(
            "python3", "-B", path, *arguments, env={**os.environ, "SIDE_GDB": GDB},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT)
        output, _ = await process.communicate()
        return output.decode(errors="replace")

    async def on_qmp(self, reader, writer):
        while line := await reader.readline():
            message = json.loads(line)
            if "event" in message:
                self.timing(f"event {message['event']} {message.get('data', '')}")
                if message["event"] == "SHUTDOWN":
                    self.shutdown_reason = message["data"].get("reason")
                elif message["event"] == "RESET" and self.rounds:
                    self.end_round(self.trouble[0] if self.trouble else "reset")
            elif "QMP" in message:
                writer.write(b'{"execute": "qmp_capabilities", "id": "hello"}\n')
            elif message.get("id") != "hello":
                await self.qmp_answers.put(message)

    async def qmp_raw(self, message):
        """Sends one QMP object and returns the emulator's answer."""
        async with self.qmp_lock:
            self.channel["qmp"].write(json.dumps(message).encode() + b"\n")
            return await self.qmp_answers.get()

    async def monitor(self, command):
        """Runs one monitor command, or has it run later; an error of the emulator is its answer."""
        if later := re.fullmatch(r"after ([\d.]+) (.+)", command):
            asyncio.get_running_loop().call_later(
                float(later[1]), lambda: self.delayed.add(
                    asyncio.ensure_future(self.monitor(later[2]))))
            return ""
        answer = await self.qmp_raw({"execute": "human-monitor-command",
                                     "arguments": {"command-line": command}})
        if "error" in answer:
            return f"Error: {answer['error']['desc']}\n"
        return answer["return"].replace("\r", "")

    async def explain_hang(self):
        """Where each CPU was, for the log of a guest that does not come to an end."""
        try:
            text = await asyncio.wait_for(self.monitor("info registers -a"), 5)
        except (asyncio.TimeoutError, KeyError, ConnectionError):
            return
        interesting = [line for line in text.splitlines()
                       if re.match(r"\s*CPU#|RIP|CS |CR0|RSI|RAX|R8 |R12|EFER", line)]
        self.note("where the CPUs were:\n    " + "\n    ".join(interesting))

    def write_session(self, release):
        """The files that the guest's first scripts read."""
        options = self.options
        command = options.command
        line = command[0] if len(command) == 1 else shlex.join(command)
        puts = [put.split(":", 1) for put in options.put]
        with open(f"{SESSION}/command", "w", encoding="utf-8") as file:
            file.write(line + "\n")
        with open(f"{SESSION}/config", "w", encoding="utf-8") as file:
            file.write(f"token={self.token}\nwant_out={1 if options.out else 0}\n")
            file.write(f"release={release}\n")
        with open(f"{SESSION}/puts", "w", encoding="utf-8") as file:
            for source, target in puts:
                file.write(f"{source}\t{target}\n")
        with open(f"{SESSION}/initramfs", "wb") as file:
            file.write(initramfs(release, image=options.root == "image"))

    async def serve_root(self):
        """Starts the file server of the guest's root; None if it does not come up."""
        with open(f"{SESSION}/virtiofsd.log", "wb") as log:
            files = await asyncio.create_subprocess_exec(
                "/usr/libexec/virtiofsd", "--shared-dir", "/", "--socket-path",
                f"{SESSION}/fs.socket", "--sandbox", "none", "--cache", "always", "--readonly",
                # Announced, each bind mount is a mount of its own, which overlayfs does not enter.
                "--no-announce-submounts",
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log)
        while not os.path.exists(f"{SESSION}/fs.socket"):
            if files.returncode is not None:
                with open(f"{SESSION}/virtiofsd.log", encoding="utf-8") as log:
                    self.note("virtiofsd did not start:\n" + log.read())
                return None
            await asyncio.sleep(0.01)
        return files

    async def run(self, release, accel):
        """Starts everything, waits for the end, returns the exit status."""
        options = self.options
        self.write_session(release)
        for name, handler in (("console", self.on_console), ("qmp", self.on_qmp),
                              ("out", self.on_out), ("ctl", self.on_ctl), ("mon", self.on_mon),
                              ("files", self.on_files)):
            await self.serve(name, handler)
        files = None
        if options.root == "virtiofs":
            files = await self.serve_root()
            if files is None:
                return EXIT_HARNESS
        arguments, environment = emulator_arguments(options, release, accel)
        self.timing("starting " + shlex.join(arguments))
        self.arguments = arguments
        await self.start()
        peer = None
        if options.peer:
            peer = await asyncio.create_subprocess_exec(
                "bash", "-c", options.peer, env={**os.environ, **environment},
                stdin=asyncio.subprocess.DEVNULL, stdout=sys.stderr)
        stalls = asyncio.create_task(self.stall())
        try:
            return await self.wait()
        finally:
            stalls.cancel()
            for process in (self.emulator, peer, files):
                if process and process.returncode is None:
                    process.kill()
                    await process.wait()
            await asyncio.gather(*self.complaints)

    async def start(self, *further):
        """Starts the emulator."""
        self.emulator = await asyncio.create_subprocess_exec(
            *self.arguments, *further, stdin=asyncio.subprocess.DEVNULL, stdout=sys.stderr,
            stderr=asyncio.subprocess.PIPE)
        self.complaints.append(asyncio.create_task(self.pass_complaints(self.emulator.stderr)))

    async def stall(self):
        """Takes the CPU away from the emulator now and then, once the command runs."""
        await self.ready.wait()
        while self.options.stall:
            await asyncio.sleep(random.uniform(0.1, 8))
            self.emulator.send_signal(signal.SIGSTOP)
            await asyncio.sleep(random.uniform(0.1, self.options.stall))
            self.emulator.send_signal(signal.SIGCONT)

    @staticmethod
    async def pass_complaints(stream):
        """The emulator's own messages, but for one about hubs that says what is meant to be."""
        while line := await stream.readline():
            if not re.search(rb"hub \d+ is not connected to host network", line):
                sys.stderr.buffer.write(line)
                sys.stderr.flush()

    async def wait(self):
        """Waits for the emulator to end; judges how it ended."""
        timed_out = None
        deadline = self.start_time + self.options.timeout
        while self.restoring or self.emulator.returncode is None:
            await asyncio.wait([asyncio.create_task(self.emulator.wait())], timeout=0.5)
            if self.rounds and self.rounds.done():
                self.rounds.result()
            if self.restoring:
                await asyncio.sleep(0.1)
                continue
            now = time.monotonic()
            if self.out_done.is_set():
                # The command is through: files are brought back and the guest powers off.
                deadline = min(deadline, now + 60)
            if self.emulator.returncode is None and now > deadline:
                phase = ("while powering off" if self.out_done.is_set() else
                         "while COMMAND ran" if self.ready.is_set() else "before COMMAND started")
                timed_out = f"no end after {now - self.start_time:.0f} s ({phase})"
                await self.explain_hang()
                self.emulator.kill()
                await self.emulator.wait()
            elif any("Kernel panic" in line for line in self.trouble):
                if self.rounds:
                    self.end_round(self.trouble[0])
                else:
                    deadline = min(deadline, now + 10)
        await asyncio.sleep(0.05)  # let the last bytes of the channels arrive
        self.timing(f"emulator ended, {self.shutdown_reason}")
        return self.verdict(self.emulator.returncode, timed_out)

    def verdict(self, emulator_status, timed_out):
        """One exit status, with the reason and the log if it is not the command's own 0."""
        failure, status = None, self.status
        if self.trouble:
            failure, status = "kernel trouble: " + self.trouble[0], EXIT_KERNEL
        elif timed_out:
            failure, status = timed_out, EXIT_TIMEOUT
        elif emulator_status != 0:
            failure, status = f"the emulator ended with status {emulator_status}", EXIT_HARNESS
        elif status is None:
            failure = f"the guest ended ({self.shutdown_reason}) before COMMAND returned"
            from_outside = str(self.shutdown_reason).startswith("host-")
            status = EXIT_HARNESS if from_outside else EXIT_KERNEL
        log = self.console.decode(errors="replace")
        if self.options.out:
            with open(f"{self.options.out}/console.log", "w", encoding="utf-8") as file:
                file.write(log)
        if status != 0:
            if not self.options.verbose and (failure or not self.options.brief):
                sys.stderr.write("vm: ---- the guest's console ----\n")
                sys.stderr.write(log if log.endswith("\n") else log + "\n")
                sys.stderr.write("vm: ---- end of the console ----\n")
            self.note(failure or f"COMMAND returned {status}")
        return status


async def main():
    """Finds out what to boot and how, and boots it."""
    options = parse_arguments()
    shutil.rmtree(SESSION, ignore_errors=True)
    os.makedirs(SESSION)
    try:
        with open(f"{STATE}/release", encoding="ascii") as file:
            release = file.read().strip()
    except OSError:
        raise SystemExit("vm: the build root has no kernel; run scripts/setup") from None
    if options.root == "image":
        options.image = root_image.image(STATE)
    accel = options.accel
    if accel == "auto":
        accel = "kvm" if not options.icount and await kvm_boots(release) else "tcg"
    elif accel == "kvm" and not await kvm_boots(release):
        print("vm: kvm does not boot this kernel here", file=sys.stderr)
        return EXIT_HARNESS
    return await Machine(options).run(release, accel)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
