// SPDX-License-Identifier: GPL-2.0

//! What the tests over whole driver files share: the files, and the way to load them.

// Each test program uses a part of it.
#![allow(dead_code)]

pub use side_host_tests::import_rewriter;

pub mod pipeline;

use std::path::{Path, PathBuf};
use std::process::Command;

/// The packaged drivers that are tried, by their path below `kernel/drivers/net`.
pub const DRIVERS: [&str; 13] = [
    "ethernet/intel/e1000e/e1000e",
    "ethernet/intel/igb/igb",
    "ethernet/intel/igc/igc",
    "ethernet/intel/ixgbe/ixgbe",
    "ethernet/intel/e1000/e1000",
    "ethernet/intel/e100",
    "ethernet/realtek/8139too",
    "ethernet/realtek/8139cp",
    "ethernet/realtek/r8169",
    "ethernet/amd/pcnet32",
    "ethernet/dec/tulip/tulip",
    "ethernet/8390/ne2k-pci",
    "vmxnet3/vmxnet3",
];

/// The folder of the packaged modules: SIDE_DRIVERS_DIR, or that of the newest kernel installed.
fn modules() -> PathBuf {
    if let Some(folder) = std::env::var_os("SIDE_DRIVERS_DIR") {
        return folder.into();
    }
    let mut kernels: Vec<_> = std::fs::read_dir("/lib/modules")
        .expect("no /lib/modules; run inside the build root or set SIDE_DRIVERS_DIR")
        .filter_map(|entry| Some(entry.ok()?.path().join("kernel")))
        .filter(|path| path.join("drivers/net").is_dir())
        .collect();
    kernels.sort();
    kernels
        .pop()
        .expect("no modules under /lib/modules; set SIDE_DRIVERS_DIR")
}

/// The decompressed file of a packaged driver of [`DRIVERS`], by its path there.
pub fn driver(path: &str) -> Vec<u8> {
    let path = modules()
        .join("drivers/net")
        .join(path)
        .with_extension("ko.xz");
    let output = Command::new("xz")
        .arg("-dc")
        .arg(&path)
        .output()
        .expect("xz runs");
    assert!(output.status.success(), "cannot read {}", path.display());
    output.stdout
}

/// The packaged e1000e.
pub fn e1000e() -> Vec<u8> {
    driver(DRIVERS[0])
}

/// The last part of a driver's path.
pub fn short_name(path: &str) -> &str {
    Path::new(path)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or(path)
}

/// A folder for the files of one test, under the build folder.
pub fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("scratch folder");
    folder
}

/// Reads a number of an ELF header of the file under test.
pub fn number(file: &[u8], at: usize, len: usize) -> u64 {
    file[at..at + len]
        .iter()
        .rev()
        .fold(0, |value, &byte| (value << 8) | u64::from(byte))
}

/// Offset of the section header table and number of its entries.
pub fn section_table(file: &[u8]) -> (usize, usize) {
    (number(file, 40, 8) as usize, number(file, 60, 2) as usize)
}

/// The same module with the section header table right behind the ELF header, so that cutting
/// the file short cuts its other tables and not this one.
pub fn headers_first(file: &[u8]) -> Vec<u8> {
    let (offset, count) = section_table(file);
    let len = count * 64;
    let mut moved = file[..64].to_vec();
    moved[40..48].copy_from_slice(&64u64.to_le_bytes());
    moved.extend_from_slice(&file[offset..offset + len]);
    for entry in 1..count {
        let field = 64 + entry * 64 + 24;
        let to = number(&moved, field, 8) + len as u64;
        moved[field..field + 8].copy_from_slice(&to.to_le_bytes());
    }
    moved.extend_from_slice(&file[64..]);
    moved
}
