// SPDX-License-Identifier: GPL-2.0

//! Offsets in the structures of the network stack that a driver's compiled code reads or writes in
//! place. They come from the running kernel's own headers, by bindgen; bit fields, which bindgen
//! does not place, are named with the header line that they come from.

use super::bindings;
use core::mem::{offset_of, size_of};

macro_rules! at {
    ($type:ident, $($field:ident).+) => {
        offset_of!(bindings::$type, $($field).+) as u64
    };
}

/// `struct net_device`: its size, and the place of `priv`.
pub(crate) const DEVICE_SIZE: u64 = size_of::<bindings::net_device>() as u64;
pub(crate) const DEVICE_PRIV: u64 = at!(net_device, priv_);
pub(crate) const DEVICE_NETDEV_OPS: u64 = at!(net_device, netdev_ops);
pub(crate) const DEVICE_ETHTOOL_OPS: u64 = at!(net_device, ethtool_ops);
pub(crate) const DEVICE_TX: u64 = at!(net_device, _tx);
pub(crate) const DEVICE_STATE: u64 = at!(net_device, state);
pub(crate) const DEVICE_FLAGS: u64 = at!(net_device, flags);
pub(crate) const DEVICE_FEATURES: u64 = at!(net_device, features);
pub(crate) const DEVICE_HW_FEATURES: u64 = at!(net_device, hw_features);
pub(crate) const DEVICE_VLAN_FEATURES: u64 = at!(net_device, vlan_features);
pub(crate) const DEVICE_HW_ENC_FEATURES: u64 = at!(net_device, hw_enc_features);
pub(crate) const DEVICE_WANTED_FEATURES: u64 = at!(net_device, wanted_features);
pub(crate) const DEVICE_MTU: u64 = at!(net_device, mtu);
pub(crate) const DEVICE_MIN_MTU: u64 = at!(net_device, min_mtu);
pub(crate) const DEVICE_MAX_MTU: u64 = at!(net_device, max_mtu);
pub(crate) const DEVICE_NAME: u64 = at!(net_device, name);
pub(crate) const DEVICE_BASE_ADDR: u64 = at!(net_device, base_addr);
pub(crate) const DEVICE_IRQ: u64 = at!(net_device, irq);
pub(crate) const DEVICE_WATCHDOG_TIMEO: u64 = at!(net_device, watchdog_timeo);
pub(crate) const DEVICE_PERM_ADDR: u64 = at!(net_device, perm_addr);
pub(crate) const DEVICE_DEV_ADDR: u64 = at!(net_device, dev_addr);
pub(crate) const DEVICE_BROADCAST: u64 = at!(net_device, broadcast);
pub(crate) const DEVICE_ADDR_LEN: u64 = at!(net_device, addr_len);
pub(crate) const DEVICE_HARD_HEADER_LEN: u64 = at!(net_device, hard_header_len);
pub(crate) const DEVICE_TYPE: u64 = at!(net_device, type_);
/// The type of an Ethernet device (include/uapi/linux/if_arp.h).
pub(crate) const ARPHRD_ETHER: u16 = 1;
pub(crate) const DEVICE_PRIV_LEN: u64 = at!(net_device, priv_len);
pub(crate) const DEVICE_NUM_TX: u64 = at!(net_device, num_tx_queues);
pub(crate) const DEVICE_REAL_NUM_TX: u64 = at!(net_device, real_num_tx_queues);
pub(crate) const DEVICE_NUM_RX: u64 = at!(net_device, num_rx_queues);
pub(crate) const DEVICE_REAL_NUM_RX: u64 = at!(net_device, real_num_rx_queues);
pub(crate) const DEVICE_TX_QUEUE_LEN: u64 = at!(net_device, tx_queue_len);
pub(crate) const DEVICE_GSO_MAX_SIZE: u64 = at!(net_device, gso_max_size);
pub(crate) const DEVICE_GSO_MAX_SEGS: u64 = at!(net_device, gso_max_segs);
pub(crate) const DEVICE_STATS: u64 = at!(net_device, stats);
pub(crate) const DEVICE_REG_STATE: u64 = at!(net_device, reg_state);
/// What it is from the registration on; 0 before it, more when it ends.
pub(crate) const NETREG_REGISTERED: u8 = 1;
pub(crate) const DEVICE_UC: u64 = at!(net_device, uc);
pub(crate) const DEVICE_MC: u64 = at!(net_device, mc);
pub(crate) const DEVICE_DEV_ADDRS: u64 = at!(net_device, dev_addrs);
pub(crate) const DEVICE_NAPI_LIST: u64 = at!(net_device, napi_list);
pub(crate) const DEVICE_LOCK: u64 = at!(net_device, lock);
pub(crate) const DEVICE_DEV: u64 = at!(net_device, dev);
pub(crate) const DEVICE_PARENT: u64 = at!(net_device, dev.parent);
/// `priv_flags:32` is the first word of the structure (include/linux/netdevice.h).
pub(crate) const DEVICE_PRIV_FLAGS: u64 = 0;

/// Words of `struct net_device_stats`: the first of `struct rtnl_link_stats64`.
pub(crate) const OLD_STATS_WORDS: usize = size_of::<bindings::net_device_stats>() / 8;
/// Slots of `struct net_device_ops` for counters.
pub(crate) const NDO_GET_STATS64: usize = offset_of!(bindings::net_device_ops, ndo_get_stats64);
/// As above, for drivers that keep a `struct net_device_stats`.
pub(crate) const NDO_GET_STATS: usize = offset_of!(bindings::net_device_ops, ndo_get_stats);

/// `struct page_pool` and what it is made from.
pub(crate) const PAGE_POOL_SIZE: u64 = size_of::<bindings::page_pool>() as u64;
pub(crate) const PAGE_POOL_PARAMETERS: u64 = size_of::<bindings::page_pool_params>() as u64;

/// `struct netdev_hw_addr_list`.
pub(crate) const LIST_COUNT: u64 = at!(netdev_hw_addr_list, count);
/// `struct netdev_hw_addr`.
pub(crate) const ADDRESS_SIZE: u64 = size_of::<bindings::netdev_hw_addr>() as u64;
pub(crate) const ADDRESS_BYTES: u64 = at!(netdev_hw_addr, addr);

/// `struct netdev_queue`.
pub(crate) const QUEUE_SIZE: u64 = size_of::<bindings::netdev_queue>() as u64;
pub(crate) const QUEUE_DEV: u64 = at!(netdev_queue, dev);
pub(crate) const QUEUE_STATE: u64 = at!(netdev_queue, state);
pub(crate) const QUEUE_DQL: u64 = at!(netdev_queue, dql);
pub(crate) const DQL_NUM_QUEUED: u64 = at!(dql, num_queued);
pub(crate) const DQL_ADJ_LIMIT: u64 = at!(dql, adj_limit);

/// `struct napi_struct`.
pub(crate) const NAPI_SIZE: u64 = size_of::<bindings::napi_struct>() as u64;
pub(crate) const NAPI_STATE: u64 = at!(napi_struct, state);
pub(crate) const NAPI_WEIGHT: u64 = at!(napi_struct, weight);
pub(crate) const NAPI_DEV: u64 = at!(napi_struct, dev);
pub(crate) const NAPI_GRO: u64 = at!(napi_struct, gro);

/// `struct sk_buff`.
pub(crate) const SKB_SIZE: usize = size_of::<bindings::sk_buff>();
/// `next` is the first word.
pub(crate) const SKB_NEXT: u64 = 0;
/// `dev` follows `next` and `prev`.
pub(crate) const SKB_DEV: usize = 16;
pub(crate) const SKB_LEN: usize = offset_of!(bindings::sk_buff, len);
pub(crate) const SKB_DATA_LEN: usize = offset_of!(bindings::sk_buff, data_len);
pub(crate) const SKB_QUEUE: usize = offset_of!(bindings::sk_buff, queue_mapping);
/// The group `headers`; its first bytes are bit fields (include/linux/skbuff.h):
/// byte 0 `pkt_type:3, ignore_df, dst_pending_confirm, ip_summed:2, ooo_okay`,
/// byte 2 `inner_protocol_type, l4_hash, sw_hash, ...`.
pub(crate) const SKB_BITS: usize = offset_of!(bindings::sk_buff, __bindgen_anon_4);
/// The place of `ip_summed` in byte 0 of the bits.
pub(crate) const SKB_IP_SUMMED_SHIFT: u32 = 5;
/// `l4_hash` in byte 2 of the bits.
pub(crate) const SKB_L4_HASH: u8 = 1 << 1;
type Headers = bindings::sk_buff__bindgen_ty_4__bindgen_ty_1;
pub(crate) const SKB_PRIORITY: usize = SKB_BITS + offset_of!(Headers, priority);
/// `csum_start`, `csum_offset`: the union before `priority`.
pub(crate) const SKB_CSUM: usize = SKB_PRIORITY - 4;
pub(crate) const SKB_HASH: usize = SKB_BITS + offset_of!(Headers, hash);
/// `vlan_proto`, `vlan_tci`: the union after `hash`.
pub(crate) const SKB_VLAN: usize = SKB_HASH + 4;
pub(crate) const SKB_PROTOCOL: usize = SKB_BITS + offset_of!(Headers, protocol);
pub(crate) const SKB_INNER_TRANSPORT: usize =
    SKB_BITS + offset_of!(Headers, inner_transport_header);
pub(crate) const SKB_INNER_NETWORK: usize = SKB_BITS + offset_of!(Headers, inner_network_header);
pub(crate) const SKB_INNER_MAC: usize = SKB_BITS + offset_of!(Headers, inner_mac_header);
pub(crate) const SKB_INNER_PROTOCOL: usize = SKB_INNER_TRANSPORT - 2;
pub(crate) const SKB_TRANSPORT: usize = SKB_BITS + offset_of!(Headers, transport_header);
pub(crate) const SKB_NETWORK: usize = SKB_BITS + offset_of!(Headers, network_header);
pub(crate) const SKB_MAC: usize = SKB_BITS + offset_of!(Headers, mac_header);
pub(crate) const SKB_TAIL: usize = offset_of!(bindings::sk_buff, tail);
pub(crate) const SKB_END: usize = offset_of!(bindings::sk_buff, end);
pub(crate) const SKB_HEAD: usize = offset_of!(bindings::sk_buff, head);
pub(crate) const SKB_DATA: usize = offset_of!(bindings::sk_buff, data);
pub(crate) const SKB_TRUESIZE: usize = offset_of!(bindings::sk_buff, truesize);
pub(crate) const SKB_USERS: usize = offset_of!(bindings::sk_buff, users);

/// `struct skb_shared_info`.
pub(crate) const SHARED_SIZE: usize = size_of::<bindings::skb_shared_info>();
pub(crate) const SHARED_NR_FRAGS: usize = offset_of!(bindings::skb_shared_info, nr_frags);
pub(crate) const SHARED_TX_FLAGS: usize = offset_of!(bindings::skb_shared_info, tx_flags);
pub(crate) const SHARED_GSO_SIZE: usize = offset_of!(bindings::skb_shared_info, gso_size);
pub(crate) const SHARED_GSO_SEGS: usize = offset_of!(bindings::skb_shared_info, gso_segs);
pub(crate) const SHARED_GSO_TYPE: usize = offset_of!(bindings::skb_shared_info, gso_type);
/// `hwtstamps`: the union after `frag_list`.
pub(crate) const SHARED_HWTSTAMP: usize = offset_of!(bindings::skb_shared_info, frag_list) + 8;
pub(crate) const SHARED_DATAREF: usize = offset_of!(bindings::skb_shared_info, dataref);
pub(crate) const SHARED_FRAGS: usize = offset_of!(bindings::skb_shared_info, frags);
/// `skb_frag_t`: `netmem` (8), `len` (4), `offset` (4).
pub(crate) const FRAG_SIZE: usize = 16;
/// Fragments of a packet, at most.
pub(crate) const MAX_FRAGS: usize = (SHARED_SIZE - SHARED_FRAGS) / FRAG_SIZE;

/// `SKBTX_HW_TSTAMP_NOBPF` and `SKBTX_SW_TSTAMP` of `tx_flags`.
pub(crate) const TX_HW_TSTAMP: u8 = bindings::SKBTX_HW_TSTAMP_NOBPF as u8;
pub(crate) const TX_SW_TSTAMP: u8 = bindings::SKBTX_SW_TSTAMP as u8;
pub(crate) const TX_IN_PROGRESS: u8 = bindings::SKBTX_IN_PROGRESS as u8;

/// `NET_SKB_PAD`: room before each received packet.
pub(crate) const SKB_PAD: u32 = 64;

/// `__QUEUE_STATE_DRV_XOFF`, the only bit of a queue's state that is the driver's.
pub(crate) const DRV_XOFF: u64 = 1 << bindings::netdev_queue_state_t___QUEUE_STATE_DRV_XOFF;
/// `NAPIF_STATE_SCHED`.
pub(crate) const NAPI_SCHED: u64 = 1 << bindings::NAPI_STATE_SCHED;

/// Slots of the driver's tables of operations, as words.
pub(crate) const NDO_WORDS: usize = size_of::<bindings::net_device_ops>() / 8;
pub(crate) const ETHTOOL_WORDS: usize = size_of::<bindings::ethtool_ops>() / 8;

/// Places in `struct net_device_ops` of what a restarted driver is told.
pub(crate) const NDO_OPEN: usize = offset_of!(bindings::net_device_ops, ndo_open);
pub(crate) const NDO_START_XMIT: usize = offset_of!(bindings::net_device_ops, ndo_start_xmit);
pub(crate) const NDO_SET_RX_MODE: usize = offset_of!(bindings::net_device_ops, ndo_set_rx_mode);
pub(crate) const NDO_SET_MAC: usize = offset_of!(bindings::net_device_ops, ndo_set_mac_address);
pub(crate) const NDO_CHANGE_MTU: usize = offset_of!(bindings::net_device_ops, ndo_change_mtu);
pub(crate) const NDO_SET_FEATURES: usize = offset_of!(bindings::net_device_ops, ndo_set_features);
pub(crate) const NDO_ADD_VID: usize = offset_of!(bindings::net_device_ops, ndo_vlan_rx_add_vid);
/// Bits of `net_device.state` (include/linux/netdevice.h): the interface is up; there is no carrier.
pub(crate) const STATE_START: u64 = 1 << bindings::netdev_state_t___LINK_STATE_START;
pub(crate) const STATE_NO_CARRIER: u64 = 1 << bindings::netdev_state_t___LINK_STATE_NOCARRIER;
