// SPDX-License-Identifier: GPL-2.0

//! The decoder beside objdump, over every instruction of packaged modules.
//!
//! Needs objdump, xz and packaged modules; without them the test says so and passes, since the
//! build root has them all.

use side_host_tests::fault_handler::decode::decode;
use side_host_tests::fault_handler::kinds::Kind;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Drivers of network cards and disks, and modules with odd instructions: cryptography with
/// vectors, virtualization, graphics.
const MODULES: &[&str] = &[
    "e1000e",
    "e1000",
    "igb",
    "igc",
    "8139too",
    "8139cp",
    "ne2k-pci",
    "8390",
    "pcnet32",
    "tulip",
    "e100",
    "vmxnet3",
    "r8169",
    "tg3",
    "b44",
    "via-rhine",
    "libata",
    "ahci",
    "nvme",
    "raid6_pq",
    "aesni-intel",
    "kvm",
    "kvm-intel",
    "kvm-amd",
    "btrfs",
];

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            find(&path, found);
        } else if path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| {
                name.strip_suffix(".ko.xz")
                    .is_some_and(|name| MODULES.contains(&name))
            })
        {
            found.push(path);
        }
    }
}

/// The mnemonic behind prefixes that objdump writes as words.
fn mnemonic(text: &str) -> &str {
    let prefix = |word: &&str| {
        matches!(
            *word,
            "lock"
                | "rep"
                | "repz"
                | "repnz"
                | "data16"
                | "addr32"
                | "cs"
                | "ds"
                | "es"
                | "ss"
                | "fs"
                | "gs"
                | "notrack"
                | "bnd"
        ) || word.starts_with("rex")
    };
    text.split_whitespace()
        .find(|word| !prefix(word))
        .unwrap_or("")
}

/// Whether the kind is what the mnemonic says, for those that the fault handler acts on.
fn agrees(mnemonic: &str, kind: Kind) -> bool {
    let special = match mnemonic {
        "cli" => kind == Kind::Cli,
        "sti" => kind == Kind::Sti,
        "pushf" => matches!(kind, Kind::Pushf { .. }),
        "popf" => matches!(kind, Kind::Popf { .. }),
        "in" => matches!(kind, Kind::In { .. }),
        "out" => matches!(kind, Kind::Out { .. }),
        "insb" | "insw" | "insl" => matches!(kind, Kind::Ins { .. }),
        "outsb" | "outsw" | "outsl" => matches!(kind, Kind::Outs { .. }),
        "rdtsc" => kind == Kind::Rdtsc,
        "rdtscp" => kind == Kind::Rdtscp,
        "rdmsr" => kind == Kind::Rdmsr,
        "wrmsr" => kind == Kind::Wrmsr,
        "rdpmc" => kind == Kind::Rdpmc,
        "cpuid" => kind == Kind::Cpuid,
        "hlt" => kind == Kind::Hlt,
        "clac" => kind == Kind::Clac,
        "stac" => kind == Kind::Stac,
        "ud2" | "ud1" => matches!(kind, Kind::Undefined(_)),
        "int3" => kind == Kind::Int3,
        "call" => matches!(kind, Kind::Call(_)),
        "jmp" => matches!(kind, Kind::Jump(_)),
        "ret" => kind == Kind::Return,
        "div" | "idiv" => kind == Kind::Divide,
        "wbinvd" => kind == Kind::Wbinvd,
        // What is left must not look like one of these.
        _ => {
            let acted_on = matches!(
                kind,
                Kind::Cli
                    | Kind::Sti
                    | Kind::Pushf { .. }
                    | Kind::Popf { .. }
                    | Kind::In { .. }
                    | Kind::Out { .. }
                    | Kind::Ins { .. }
                    | Kind::Outs { .. }
                    | Kind::Clac
                    | Kind::Stac
                    | Kind::Rdtsc
                    | Kind::Return
            );
            !acted_on
        }
    };
    let vector = mnemonic.starts_with('v') && mnemonic != "verw" && !mnemonic.starts_with("vm");
    special
        && (!vector || mnemonic.starts_with("vmov") || kind == Kind::FpuOrVector)
        && (!mnemonic.starts_with("vm")
            || mnemonic.starts_with("vmov")
            || matches!(kind, Kind::Virtualization | Kind::FpuOrVector))
}

#[test]
fn lengths_and_kinds_agree_with_objdump() {
    let mut modules = Vec::new();
    if let Ok(releases) = std::fs::read_dir("/usr/lib/modules") {
        for release in releases.flatten() {
            find(&release.path().join("kernel"), &mut modules);
            if !modules.is_empty() {
                break;
            }
        }
    }
    let tools = ["objdump", "xz"].iter().all(|tool| {
        Command::new(tool)
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_ok()
    });
    if modules.is_empty() || !tools {
        eprintln!("no packaged modules, objdump or xz here: nothing compared");
        return;
    }
    let mut compared = 0;
    let file = std::env::temp_dir().join(format!("side-decoder-{}.ko", std::process::id()));
    for module in &modules {
        let unpacked = Command::new("xz")
            .arg("-dc")
            .arg(module)
            .output()
            .expect("xz runs");
        std::fs::write(&file, unpacked.stdout).expect("the temporary file is written");
        compared += compare(module, &file);
    }
    let _ = std::fs::remove_file(&file);
    println!("{compared} instructions of {} modules", modules.len());
    assert!(modules.len() >= 20, "only {} modules found", modules.len());
    assert!(compared > 500_000);
}

/// Compares one module and returns how many instructions it has.
fn compare(module: &Path, file: &Path) -> usize {
    let mut objdump = Command::new("objdump")
        .args(["-d", "--insn-width=15"])
        .arg(file)
        .stdout(Stdio::piped())
        .spawn()
        .expect("objdump runs");
    let lines = BufReader::new(objdump.stdout.take().expect("a pipe")).lines();
    let mut compared = 0;
    for line in lines {
        let line = line.expect("objdump writes text");
        let mut columns = line.split('\t');
        let (Some(address), Some(bytes), Some(text)) =
            (columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        if !address.starts_with(' ') || text.contains("(bad)") {
            continue;
        }
        let mut code: Vec<u8> = bytes
            .split_whitespace()
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect();
        let length = code.len();
        // A prefix of an instruction is never an instruction: it is told to be cut off.
        assert!(
            decode(&code[..length - 1]).is_err(),
            "{module:?}: {line}: shorter"
        );
        code.resize(length + 15, 0x90);
        let insn = decode(&code).unwrap_or_else(|error| panic!("{module:?}: {line}: {error:?}"));
        assert_eq!(usize::from(insn.length), length, "{module:?}: {line}");
        assert!(
            agrees(mnemonic(text), insn.kind),
            "{module:?}: {line}: {:?}",
            insn.kind
        );
        compared += 1;
    }
    let _ = objdump.wait();
    compared
}
