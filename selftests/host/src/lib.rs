// SPDX-License-Identifier: GPL-2.0

//! The pure layers as an ordinary crate: the same files that the kernel module is made of, so
//! what is tested here is what runs there. Their unit tests stand beside the code; tests that
//! need files or much time stand in `tests/`.

#[path = "../../../fault_handler/mod.rs"]
pub mod fault_handler;
#[path = "../../../import_rewriter/mod.rs"]
pub mod import_rewriter;

// Single pure files of folders that also hold kernel code.
// The module uses parts that no test names.
#[allow(dead_code)]
#[path = "../../../side_stubs/config_space.rs"]
pub mod config_space;
#[path = "../../../side_stubs/packet.rs"]
pub mod packet;
// The module uses what no test names.
#[allow(dead_code)]
#[path = "../../../src/pages/entry.rs"]
pub mod page_entry;
