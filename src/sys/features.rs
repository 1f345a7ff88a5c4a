// SPDX-License-Identifier: GPL-2.0

//! Which features of a network device a driver in a domain may offer. A feature is offered only
//! where SIDE carries what it needs across: large receive offload, crypto, FCoE and the like are
//! taken away from what the driver asks for.

use super::bindings as b;

const fn bits(list: &[u32]) -> u64 {
    let mut all = 0;
    let mut n = 0;
    while n < list.len() {
        all |= 1 << list[n];
        n += 1;
    }
    all
}

/// Receive checksums.
pub(crate) const RXCSUM: u64 = bits(&[b::NETIF_F_RXCSUM_BIT]);
/// Filters by VLAN, which need the operations that set them.
pub(crate) const VLAN_FILTERS: u64 = bits(&[
    b::NETIF_F_HW_VLAN_CTAG_FILTER_BIT,
    b::NETIF_F_HW_VLAN_STAG_FILTER_BIT,
]);
/// Everything that may be offered.
pub(crate) const ALLOWED: u64 = VLAN_FILTERS
    | bits(&[
        b::NETIF_F_SG_BIT,
        b::NETIF_F_IP_CSUM_BIT,
        b::NETIF_F_HW_CSUM_BIT,
        b::NETIF_F_IPV6_CSUM_BIT,
        b::NETIF_F_HIGHDMA_BIT,
        b::NETIF_F_HW_VLAN_CTAG_TX_BIT,
        b::NETIF_F_HW_VLAN_CTAG_RX_BIT,
        b::NETIF_F_HW_VLAN_STAG_TX_BIT,
        b::NETIF_F_HW_VLAN_STAG_RX_BIT,
        b::NETIF_F_VLAN_CHALLENGED_BIT,
        b::NETIF_F_GSO_BIT,
        b::NETIF_F_GRO_BIT,
        b::NETIF_F_TSO_BIT,
        b::NETIF_F_TSO_ECN_BIT,
        b::NETIF_F_TSO_MANGLEID_BIT,
        b::NETIF_F_TSO6_BIT,
        b::NETIF_F_GSO_GRE_BIT,
        b::NETIF_F_GSO_GRE_CSUM_BIT,
        b::NETIF_F_GSO_IPXIP4_BIT,
        b::NETIF_F_GSO_IPXIP6_BIT,
        b::NETIF_F_GSO_UDP_TUNNEL_BIT,
        b::NETIF_F_GSO_UDP_TUNNEL_CSUM_BIT,
        b::NETIF_F_GSO_PARTIAL_BIT,
        b::NETIF_F_GSO_UDP_L4_BIT,
        b::NETIF_F_SCTP_CRC_BIT,
        b::NETIF_F_RXHASH_BIT,
        b::NETIF_F_RXCSUM_BIT,
        b::NETIF_F_LOOPBACK_BIT,
        b::NETIF_F_RXFCS_BIT,
        b::NETIF_F_RXALL_BIT,
    ]);

/// Bits of `priv_flags` that a driver may set: `IFF_UNICAST_FLT`, `IFF_SUPP_NOFCS`,
/// `IFF_LIVE_ADDR_CHANGE`.
pub(crate) const PRIV_FLAGS: u32 = b::netdev_priv_flags_IFF_UNICAST_FLT
    | b::netdev_priv_flags_IFF_SUPP_NOFCS
    | b::netdev_priv_flags_IFF_LIVE_ADDR_CHANGE;
