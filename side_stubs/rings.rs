// SPDX-License-Identifier: GPL-2.0

//! The optimised mode's contract between the ring-3 library and the kernel: which imports have a
//! local answer, and what the ring of deferred calls and the pools of buffers look like.
//!
//! Each CPU has one ring and one set of pools in its per-CPU area. The driver is the only producer
//! of the ring, the kernel the only consumer, and they never run at the same time: the kernel drains
//! the ring when an atomic upcall leaves ring 3. An entry is a call that the driver could as well
//! have made by its gate, with the same checks, so a forged one gains nothing.

// Also a part of the host crate, where `pub` reaches further.
#![allow(dead_code, unreachable_pub)]

/// An optimisation, by its bit in the word of flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Optimisation {
    /// The name of its file.
    pub name: &'static str,
    /// Its bit.
    pub bit: u32,
}

/// The kernel's operations call the proxies, not slots that trap.
pub const DIRECT_ENTRY: u32 = 1 << 0;
/// Functions of the shadows alone are answered in ring 3.
pub const LOCAL_STUBS: u32 = 1 << 1;
/// Buffers to receive into come from a pool that is mapped for DMA as long as it lives.
pub const RECEIVE_POOL: u32 = 1 << 2;
/// Received packets and the end of a poll are handed over when the poll returns.
pub const RECEIVE_BATCHING: u32 = 1 << 3;
/// Buffers to transmit from are mapped for DMA as long as they live.
pub const TRANSMIT_SLOTS: u32 = 1 << 4;
/// Buffers that the driver frees are freed when the upcall returns.
pub const DEFERRED_COMPLETIONS: u32 = 1 << 5;
/// An interrupt handler schedules its poll without a crossing.
pub const CHAINS: u32 = 1 << 6;

/// Packets to transmit are gathered, and handed over several at once.
pub const TRANSMIT_GATHERING: u32 = 1 << 7;

/// An interrupt is served in the poll that its handler asks for, by one upcall for both.
pub const INTERRUPT_POLLS: u32 = 1 << 8;

/// All optimisations, in the order of their bits.
pub const OPTIMISATIONS: [Optimisation; 9] = [
    Optimisation {
        name: "direct_entry",
        bit: DIRECT_ENTRY,
    },
    Optimisation {
        name: "local_stubs",
        bit: LOCAL_STUBS,
    },
    Optimisation {
        name: "receive_pool",
        bit: RECEIVE_POOL,
    },
    Optimisation {
        name: "receive_batching",
        bit: RECEIVE_BATCHING,
    },
    Optimisation {
        name: "transmit_slots",
        bit: TRANSMIT_SLOTS,
    },
    Optimisation {
        name: "deferred_completions",
        bit: DEFERRED_COMPLETIONS,
    },
    Optimisation {
        name: "chains",
        bit: CHAINS,
    },
    Optimisation {
        name: "transmit_gathering",
        bit: TRANSMIT_GATHERING,
    },
    Optimisation {
        name: "interrupt_polls",
        bit: INTERRUPT_POLLS,
    },
];

/// The flags of the optimised mode.
pub const ALL: u32 = (1 << OPTIMISATIONS.len()) - 1;

/// Imports that the library answers itself or hands on to their gate. The place of a name is its
/// number: the slot of its gate's address on the control page, and its number in the ring.
pub const HYBRIDS: [&str; 26] = [
    "skb_put",
    "skb_push",
    "skb_pull",
    "skb_trim",
    "eth_type_trans",
    "skb_clone_tx_timestamp",
    "is_vmalloc_addr",
    "dma_map_page_attrs",
    "dma_unmap_page_attrs",
    "__dma_sync_single_for_cpu",
    "__dma_sync_single_for_device",
    "__netdev_alloc_skb",
    "napi_alloc_skb",
    "dql_completed",
    "gro_receive_skb",
    "netif_receive_skb",
    "netif_rx",
    "napi_complete_done",
    "napi_schedule_prep",
    "__napi_schedule",
    "__napi_schedule_irqoff",
    "dev_kfree_skb_any_reason",
    "dev_kfree_skb_irq_reason",
    "consume_skb",
    "napi_consume_skb",
    "sk_skb_reason_drop",
];

/// The number of the hybrid called `name`; the build fails for a name that is none.
pub const fn hybrid(name: &str) -> u64 {
    let mut n = 0;
    while n < HYBRIDS.len() {
        if same(HYBRIDS[n].as_bytes(), name.as_bytes()) {
            return n as u64;
        }
        n += 1;
    }
    panic!("no such hybrid")
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut n = 0;
    while n < a.len() {
        if a[n] != b[n] {
            return false;
        }
        n += 1;
    }
    true
}

/// The number of the hybrid called `name`, if it is one.
pub fn number(name: &str) -> Option<usize> {
    HYBRIDS.iter().position(|known| *known == name)
}

/// Entries of a ring.
pub const RING_ENTRIES: u64 = 256;
/// Bytes of an entry: the number of the import and three arguments.
pub const RING_ENTRY_SIZE: u64 = 32;
/// Buffers of one pool.
pub const POOL_ENTRIES: u64 = 128;
/// Offset in a shadow `sk_buff`'s block of the buffer's slot number.
pub const SKB_SLOT: u64 = 248;

/// One deferred call, fetched into kernel memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Which hybrid.
    pub number: usize,
    /// Its arguments.
    pub args: [u64; 3],
}

/// The first of the imports that may be deferred, and the one after it that may not. Constants, or
/// each entry of a ring would be paid for by a search of the names.
const DEFERRABLE: usize = hybrid("gro_receive_skb") as usize;
const ANSWERED: usize = hybrid("napi_schedule_prep") as usize;

/// Takes an entry apart; `None` if it names no import that may be deferred.
pub fn decode(words: [u64; 4]) -> Option<Entry> {
    let number = usize::try_from(words[0]).ok()?;
    if number < DEFERRABLE || number >= HYBRIDS.len() || number == ANSWERED {
        return None;
    }
    Some(Entry {
        number,
        args: [words[1], words[2], words[3]],
    })
}

/// How many entries the kernel takes from a ring whose count the driver says is `claimed`.
pub const fn pending(claimed: u64) -> u64 {
    if claimed > RING_ENTRIES {
        RING_ENTRIES
    } else {
        claimed
    }
}

/// How many buffers of a pool the driver has left, if it says `claimed`.
pub const fn left(claimed: u64) -> u64 {
    if claimed > POOL_ENTRIES {
        POOL_ENTRIES
    } else {
        claimed
    }
}

/// Addresses, in pages from the heap's begin, that the table of bus addresses covers.
pub const IOVA_PAGES: u64 = 16_384;
/// Slots of the set of bus addresses.
pub const IOVA_SLOTS: u64 = 8_192;
/// Slots in which one address may be.
pub const IOVA_WAYS: u64 = 4;
/// Devices of one domain that the table can tell apart; 0 is none.
pub const IOVA_DEVICES: u64 = 16;

/// The first of the [`IOVA_WAYS`] slots in which the bus address `iova` may be.
pub const fn iova_slot(iova: u64) -> u64 {
    ((iova >> 12) & (IOVA_SLOTS / IOVA_WAYS - 1)) * IOVA_WAYS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_deferrable_imports_are_taken_from_a_ring() {
        for (n, name) in HYBRIDS.iter().enumerate() {
            let taken = decode([n as u64, 1, 2, 3]).is_some();
            let free = name.contains("free") || name.contains("consume") || name.contains("drop");
            let deferrable = free
                || name.starts_with("netif_r")
                || ["gro_receive_skb", "napi_complete_done"].contains(name)
                || name.starts_with("__napi_schedule");
            assert_eq!(taken, deferrable, "{name}");
        }
        assert_eq!(decode([HYBRIDS.len() as u64, 0, 0, 0]), None);
        assert_eq!(decode([u64::MAX, 0, 0, 0]), None);
    }

    #[test]
    fn random_entries_name_a_deferrable_import_or_nothing() {
        let mut state = 0x2545_f491_4f6c_dd1du64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut taken = 0;
        for _ in 0..100_000 {
            // Numbers near the list, with a wide one now and then.
            let wide = if next() & 3 == 0 { next() & !0xff } else { 0 };
            let words = [wide | next() & 0x3f, next(), next(), next()];
            if let Some(entry) = decode(words) {
                taken += 1;
                assert_eq!(entry.number as u64, words[0]);
                assert_eq!(entry.args, [words[1], words[2], words[3]]);
                assert!(entry.number < HYBRIDS.len());
                assert!(entry.number >= hybrid("gro_receive_skb") as usize);
                assert_ne!(HYBRIDS[entry.number], "napi_schedule_prep");
            }
        }
        assert!(taken > 1000, "{taken} entries were taken");
    }

    #[test]
    fn claims_of_counts_are_bounded() {
        assert_eq!(pending(3), 3);
        assert_eq!(pending(u64::MAX), RING_ENTRIES);
        assert_eq!(left(u64::MAX), POOL_ENTRIES);
    }

    #[test]
    fn names_are_found() {
        assert_eq!(number("netif_rx"), Some(hybrid("netif_rx") as usize));
        assert_eq!(number("kfree"), None);
        assert!(OPTIMISATIONS
            .iter()
            .enumerate()
            .all(|(n, o)| o.bit == 1 << n));
    }
}
