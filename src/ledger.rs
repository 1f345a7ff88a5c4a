// SPDX-License-Identifier: GPL-2.0

//! What a domain holds, by the import that took it.

use crate::domain::Domain;
use crate::fault_handler::watch::Held;
use crate::side_stubs::handlers::skb;

/// One line of the ledger.
pub(crate) struct Line {
    /// The import that takes such a resource; of a family of imports the one that stands for it.
    pub(crate) import: &'static str,
    /// What it is.
    pub(crate) kind: &'static str,
    /// How many there are; bytes where `kind` says so.
    pub(crate) count: u64,
}

/// Everything that the domain holds.
pub(crate) fn lines(domain: &Domain) -> [Line; 13] {
    let usage = domain.memory.usage();
    let packets = domain.skb.count();
    let (mappings, blocks) = domain.dma.count();
    let line = |import, kind, count| Line {
        import,
        kind,
        count,
    };
    [
        line("kmalloc", "heap bytes", usage.heap_live),
        line(
            "__pci_register_driver",
            "driver",
            domain.pci.drivers() as u64,
        ),
        line("probe", "device", domain.pci.devices.len() as u64),
        line(
            "request_threaded_irq",
            "interrupt",
            domain.irq.count() as u64,
        ),
        line(
            "alloc_etherdev_mqs",
            "net_device",
            domain.net.devices.len() as u64,
        ),
        line(
            "netif_napi_add_weight_locked",
            "napi",
            domain.net.napis.len() as u64,
        ),
        line("dma_map_page_attrs", "mapping", mappings),
        line("dma_alloc_attrs", "coherent block", blocks),
        line("mod_timer", "timer", domain.timer.count() as u64),
        line("queue_work_on", "work", domain.work.count() as u64),
        line("ptp_clock_register", "clock", domain.ptp.count() as u64),
        line("netdev_alloc_skb", "packet received", packets.received),
        line("ndo_start_xmit", "packet to send", packets.sent),
    ]
}

/// What the watchdogs look at.
pub(crate) fn held(domain: &Domain) -> Held {
    let skb::Count {
        received,
        sent,
        to_send,
    } = domain.skb.count();
    Held {
        heap: domain.memory.usage().heap_live,
        packets: received + sent,
        mappings: domain.dma.count().0,
        timers: (domain.timer.count() + domain.work.count()) as u64,
        lock_ms: domain.net.lock_held_ms(),
        to_send,
    }
}
