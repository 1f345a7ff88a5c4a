// SPDX-License-Identifier: GPL-2.0

//! The handlers of gates, by subsystem. Each file holds the ring-0 side of one kernel interface:
//! the handlers that its imports name in the table, the objects that they keep in the domain
//! (`State`), and what the proxies call when the kernel calls the driver.

pub(crate) mod addresses;
pub(crate) mod adopt;
pub(crate) mod buffers;
pub(crate) mod checksum;
pub(crate) mod clock;
pub(crate) mod delay;
pub(crate) mod dma;
pub(crate) mod drain;
pub(crate) mod ethtool;
pub(crate) mod firmware;
pub(crate) mod fragments;
pub(crate) mod gather;
pub(crate) mod irq;
pub(crate) mod kept;
pub(crate) mod late;
pub(crate) mod limits;
pub(crate) mod lock;
pub(crate) mod managed;
pub(crate) mod memory;
pub(crate) mod napi;
pub(crate) mod net;
pub(crate) mod net_imports;
pub(crate) mod net_locks;
pub(crate) mod net_ops;
pub(crate) mod page_pool;
pub(crate) mod pci;
pub(crate) mod pm;
pub(crate) mod pool;
pub(crate) mod print;
pub(crate) mod ptp;
pub(crate) mod receive;
pub(crate) mod skb;
mod slots;
pub(crate) mod timer;
pub(crate) mod transmit;
pub(crate) mod vlan;
pub(crate) mod wait;
pub(crate) mod work;
