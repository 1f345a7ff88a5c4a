// SPDX-License-Identifier: GPL-2.0

//! Assembles the ring-3 library into read-only data of the module, where the kernel can read it
//! and not execute it, and shows it as bytes.

use super::bindings;
use super::layout::XMIT_MORE;
use super::net_layout::*;
use crate::side_stubs::contract::*;
use crate::side_stubs::handlers::skb::{LARGE_ROOM, SMALL_ROOM};
use crate::side_stubs::rings::*;
use core::mem::offset_of;

core::arch::global_asm!(
    include_str!("../../side_stubs/ring3/library.S"),
    include_str!("../../side_stubs/ring3/devices.S"),
    include_str!("../../side_stubs/ring3/local.S"),
    include_str!("../../side_stubs/ring3/end.S"),
    preempt_count = const VCPU_BASE + VCPU_PREEMPT_COUNT,
    irq_disabled = const VCPU_BASE + VCPU_IRQ_DISABLED,
    pending = const VCPU_BASE + VCPU_PENDING,
    softirq_disable = const 2 * SOFTIRQ_OFFSET,
    yield_stub = const stub_address(STUB_YIELD),
    library_base = const LIBRARY_BASE,
    pio_offset = const PIO_OFFSET,
    pio_end = const PIO_END,
    enodev = const bindings::ENODEV,
    stats_words = const size_of::<bindings::net_device_stats>() / 8,
    stats64_words = const size_of::<bindings::rtnl_link_stats64>() / 8,
    xdp_dev = const offset_of!(bindings::xdp_rxq_info, dev),
    xdp_index = const offset_of!(bindings::xdp_rxq_info, queue_index),
    xdp_state = const offset_of!(bindings::xdp_rxq_info, reg_state),
    xdp_mem = const offset_of!(bindings::xdp_rxq_info, mem),
    xdp_frag = const offset_of!(bindings::xdp_rxq_info, frag_size),
    local = const VCPU_BASE + VCPU_LOCAL,
    xmit_more = const VCPU_BASE + VCPU_SOFTNET_DATA + XMIT_MORE,
    drv_xoff = const DRV_XOFF,
    tx_busy = const bindings::netdev_tx_NETDEV_TX_BUSY,
    skb_next = const SKB_NEXT,
    followed = const VCPU_BASE + VCPU_FOLLOWED,
    ring_count = const VCPU_BASE + VCPU_RING_COUNT,
    ring_entries = const RING_ENTRIES,
    ring = const VCPU_BASE + VCPU_RING,
    small_count = const VCPU_BASE + VCPU_POOL_COUNT[0],
    large_count = const VCPU_BASE + VCPU_POOL_COUNT[1],
    small_pool = const VCPU_BASE + VCPU_POOL[0],
    large_pool = const VCPU_BASE + VCPU_POOL[1],
    small_room = const SMALL_ROOM,
    large_room = const LARGE_ROOM,
    control = const CONTROL_BASE,
    devices = const CONTROL_DEVICES,
    heap = const HEAP_BASE,
    vmemmap = const VMEMMAP_BASE,
    iova_table = const IOVA_TABLE,
    iova_set = const IOVA_SET,
    iova_pages = const IOVA_PAGES,
    iova_mask = const IOVA_SLOTS / IOVA_WAYS - 1,
    f_local = const LOCAL_STUBS,
    f_pool = const RECEIVE_POOL,
    f_receive = const RECEIVE_BATCHING,
    f_slots = const TRANSMIT_SLOTS,
    f_complete = const DEFERRED_COMPLETIONS,
    f_chains = const CHAINS,
    skb_dev = const SKB_DEV,
    skb_len = const SKB_LEN,
    skb_data_len = const SKB_DATA_LEN,
    skb_mac = const SKB_MAC,
    skb_tail = const SKB_TAIL,
    skb_end = const SKB_END,
    skb_head = const SKB_HEAD,
    skb_data = const SKB_DATA,
    skb_slot = const SKB_SLOT,
    napi_dev = const NAPI_DEV,
    n_skb_put = const hybrid("skb_put"),
    n_skb_push = const hybrid("skb_push"),
    n_skb_pull = const hybrid("skb_pull"),
    n_skb_trim = const hybrid("skb_trim"),
    n_eth_type_trans = const hybrid("eth_type_trans"),
    n_skb_clone_tx_timestamp = const hybrid("skb_clone_tx_timestamp"),
    n_dql_completed = const hybrid("dql_completed"),
    n_is_vmalloc_addr = const hybrid("is_vmalloc_addr"),
    n_dma_map_page_attrs = const hybrid("dma_map_page_attrs"),
    n_dma_unmap_page_attrs = const hybrid("dma_unmap_page_attrs"),
    n___dma_sync_single_for_cpu = const hybrid("__dma_sync_single_for_cpu"),
    n___dma_sync_single_for_device = const hybrid("__dma_sync_single_for_device"),
    n___netdev_alloc_skb = const hybrid("__netdev_alloc_skb"),
    n_napi_alloc_skb = const hybrid("napi_alloc_skb"),
    n_gro_receive_skb = const hybrid("gro_receive_skb"),
    n_netif_receive_skb = const hybrid("netif_receive_skb"),
    n_netif_rx = const hybrid("netif_rx"),
    n_napi_complete_done = const hybrid("napi_complete_done"),
    n_napi_schedule_prep = const hybrid("napi_schedule_prep"),
    n___napi_schedule = const hybrid("__napi_schedule"),
    n___napi_schedule_irqoff = const hybrid("__napi_schedule_irqoff"),
    n_dev_kfree_skb_any_reason = const hybrid("dev_kfree_skb_any_reason"),
    n_dev_kfree_skb_irq_reason = const hybrid("dev_kfree_skb_irq_reason"),
    n_consume_skb = const hybrid("consume_skb"),
    n_napi_consume_skb = const hybrid("napi_consume_skb"),
    n_sk_skb_reason_drop = const hybrid("sk_skb_reason_drop"),
    options(att_syntax)
);

extern "C" {
    static side_ring3_text: u8;
    static side_ring3_text_end: u8;
    static side_ring3_names: u8;
    static side_ring3_names_end: u8;
}

/// The bytes of the read-only data between two labels of the library.
///
/// # Safety
///
/// `begin` must not lie above `end`, and everything between them must be read-only data.
unsafe fn between(begin: *const u8, end: *const u8) -> &'static [u8] {
    // SAFETY: the caller's promise; the module's data outlives its code.
    unsafe { core::slice::from_raw_parts(begin, end as usize - begin as usize) }
}

/// The library's text, to be copied to `LIBRARY_BASE`.
pub(crate) fn text() -> &'static [u8] {
    // SAFETY: the labels enclose the library's text, in this order, in `.rodata`.
    unsafe { between(&raw const side_ring3_text, &raw const side_ring3_text_end) }
}

/// The table of functions: for each its offset (4 bytes), the length of its name, the name.
pub(crate) fn names() -> &'static [u8] {
    // SAFETY: the labels enclose the table, in this order, in `.rodata`.
    unsafe { between(&raw const side_ring3_names, &raw const side_ring3_names_end) }
}
