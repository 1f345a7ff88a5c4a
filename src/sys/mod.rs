// SPDX-License-Identifier: GPL-2.0

//! The quarantine for the kernel's C interfaces: each file wraps one of them so that callers need
//! no `unsafe`, and nothing above this folder names the bindings' functions.
//!
//! The proxies, functions named `side_proxy_*`, are called by the kernel alone. What each demands is
//! what the kernel's interface promises its callbacks: pointers to live objects of the kernel's, of
//! the type that the signature says.

// The kernel is the only caller of the proxies; their common demand stands above. `entry!` infers
// the pointer type that the place wants.
#![allow(clippy::as_underscore, clippy::missing_safety_doc)]
// Many integer types here are bindgen's, which differ between the C names of one type; and most
// unsafe functions are callbacks of the kernel's, whose contract the head of their file states.
#![allow(clippy::as_underscore, clippy::missing_safety_doc)]

pub(crate) mod access;
pub(crate) mod bindings;
pub(crate) mod clock;
pub(crate) mod cpu;
pub(crate) mod defer;
pub(crate) mod delay;
pub(crate) mod dma;
pub(crate) mod entry_slots;
pub(crate) mod ethtool;
pub(crate) mod facts;
pub(crate) mod features;
pub(crate) mod file;
pub(crate) mod firmware;
pub(crate) mod flush_timer;
pub(crate) mod iommu;
pub(crate) mod irq;
pub(crate) mod kernel_info;
pub(crate) mod layout;
pub(crate) mod lock;
pub(crate) mod napi;
pub(crate) mod net;
pub(crate) mod net_layout;
pub(crate) mod net_proxies;
pub(crate) mod once;
pub(crate) mod packet_queue;
pub(crate) mod params;
pub(crate) mod pci;
pub(crate) mod pci_driver;
pub(crate) mod pm;
pub(crate) mod port;
pub(crate) mod print;
pub(crate) mod ptp;
pub(crate) mod random;
pub(crate) mod ring3;
pub(crate) mod skb;
pub(crate) mod sysfs;
pub(crate) mod timer;
pub(crate) mod trace;
pub(crate) mod work;

/// The function pointer by which the kernel is to call the proxy `$function`, a
/// `#[no_mangle] unsafe extern "C" fn` of this folder.
macro_rules! entry {
    ($function:expr) => {
        $crate::sys::entry_slots::trapping($function as _)
    };
}
pub(crate) use entry;
