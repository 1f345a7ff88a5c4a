# SPDX-License-Identifier: GPL-2.0
"""An erofs image of the build root, for guests whose root must be on a disk (vm --root image).

Runs inside the build root, for scripts/vm.py. The image lies beside the build root's other state
and is made again when the packages or this file change.
"""

import fcntl
import hashlib
import os
import subprocess
import sys

# What only building needs, and what belongs to one command alone.
LEFT_OUT = (
    r"^(proc|sys|dev|run|tmp|mnt|side|boot)/",
    r"^var/(lib/(side|apt)|cache)/",
    r"^usr/(src|include|lib/(rustlib|llvm-[0-9]+|gcc|debug)|libexec/gcc)/",
    r"^usr/share/(doc|man|locale|qemu|seabios|unicode|perl|gdb)/",
    r"^usr/lib/x86_64-linux-gnu/lib(LLVM|clang|rustc|asan|tsan|lsan|ubsan|hwasan)",
    r"^usr/bin/(qemu|rustc|cargo|clippy|bindgen|rustfmt|x86_64-linux-gnu-)",
)
# What a test of the checkout uses: folders, and in them endings ("" for all files).
CHECKOUT = (("selftests", (".sh", ".py", "run", "guest")), ("scripts/guest", ("",)),
            ("build", (".ko",)), ("build/selftest", ("",)))


def image(state):
    """The path of an image of the root as it is now, made if there is none."""
    digest = hashlib.sha256()
    for path in ("/var/lib/dpkg/status", f"{state}/release", __file__):
        with open(path, "rb") as file:
            digest.update(file.read())
    path = f"{state}/root-{digest.hexdigest()[:16]}.erofs"
    if os.path.exists(path):
        return path
    with open(f"{state}/image.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(path):
            return path
        print("vm: making an image of the root (once for each set of packages)", file=sys.stderr)
        excludes = [f"--exclude-regex={expression}" for expression in LEFT_OUT]
        result = subprocess.run(["mkfs.erofs", "-d1", "-x-1", *excludes, f"{path}.part", "/"],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if result.returncode != 0:
            raise SystemExit("vm: mkfs.erofs failed:\n" + result.stdout.decode(errors="replace"))
        # Of another set of packages, and in use by nobody that starts from now on.
        for name in os.listdir(state):
            if name.startswith("root-") and name.endswith(".erofs"):
                os.unlink(f"{state}/{name}")
        os.rename(f"{path}.part", path)
    return path


def seed(session):
    """cpio entries, below seed/, of what the guest finds under /side and /mnt."""
    paths = {f"{session}/{name}" for name in ("command", "config", "puts")}
    for folder, endings in CHECKOUT:
        for parent, folders, names in os.walk(f"/side/{folder}"):
            # The host's own tests and the linter's module are nothing to a guest.
            folders[:] = [name for name in folders if name not in ("host", "fuzz", "tmp", "test")]
            paths.update(f"{parent}/{name}" for name in names if name.endswith(endings))
    for parent, _, names in os.walk("/mnt/put"):
        paths.update(f"{parent}/{name}" for name in names)
    entries, folders = [], set()
    for path in sorted(paths):
        parts = ("seed" + path).split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            if folder not in folders:
                folders.add(folder)
                entries.append((folder, 0o40755, b""))
        with open(path, "rb") as file:
            mode = 0o100000 | (os.fstat(file.fileno()).st_mode & 0o777)
            entries.append(("seed" + path, mode, file.read()))
    return entries
