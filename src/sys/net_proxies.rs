// SPDX-License-Identifier: GPL-2.0

//! The operations that the kernel calls on SIDE's net_devices: each turns raw pointers into safe
//! values and asks the driver's side.

use super::bindings::{self, net_device, net_device_ops, sk_buff};
use super::entry;
use super::ethtool;
use super::skb::Packet;
use crate::side_stubs::handlers::net::NetDevice;
use crate::side_stubs::handlers::transmit::{transmit, Verdict};
use core::ffi::{c_int, c_uint, c_void};
use core::mem::offset_of;
use kernel::prelude::*;
use kernel::sync::ArcBorrow;

/// What a driver's table of operations has in one slot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// NULL, or something that is neither.
    Absent,
    /// A function of the driver.
    Driver,
    /// An import: a function of the kernel, by its name.
    Kernel(&'static str),
}

/// The tables that one net_device names.
pub(crate) struct Tables {
    ndo: net_device_ops,
    /// As `ndo`, with the proxies themselves instead of slots that trap.
    direct: net_device_ops,
    ethtool: bindings::ethtool_ops,
}

// SAFETY: the tables do not change once they are made; they hold functions only.
unsafe impl Send for Tables {}
// SAFETY: as above.
unsafe impl Sync for Tables {}

macro_rules! slot {
    ($op:ident) => {
        offset_of!(net_device_ops, $op)
    };
}

impl Tables {
    /// Makes tables that have exactly the slots that the driver's have and that SIDE carries
    /// across.
    pub(crate) fn new(
        ndo: impl Fn(usize) -> Slot,
        ethtool: impl Fn(usize) -> Slot,
        data: &ethtool::Data,
    ) -> Result<KBox<Tables>> {
        let mut ops = net_device_ops::default();
        let mut direct = net_device_ops::default();
        macro_rules! fill {
            ($($op:ident = $proxy:path),* $(,)?) => { $(
                if ndo(slot!($op)) == Slot::Driver {
                    ops.$op = Some(entry!($proxy));
                    direct.$op = Some($proxy);
                }
            )* };
        }
        fill!(
            ndo_open = side_proxy_ndo_open,
            ndo_stop = side_proxy_ndo_stop,
            ndo_set_rx_mode = side_proxy_ndo_set_rx_mode,
            ndo_set_mac_address = side_proxy_ndo_set_mac_address,
            ndo_validate_addr = side_proxy_ndo_validate_addr,
            ndo_eth_ioctl = side_proxy_ndo_eth_ioctl,
            ndo_change_mtu = side_proxy_ndo_change_mtu,
            ndo_tx_timeout = side_proxy_ndo_tx_timeout,
            ndo_vlan_rx_add_vid = side_proxy_ndo_vlan_rx_add_vid,
            ndo_vlan_rx_kill_vid = side_proxy_ndo_vlan_rx_kill_vid,
            ndo_fix_features = side_proxy_ndo_fix_features,
            ndo_set_features = side_proxy_ndo_set_features,
            ndo_hwtstamp_get = side_proxy_ndo_hwtstamp_get,
            ndo_hwtstamp_set = side_proxy_ndo_hwtstamp_set,
        );
        // The stack calls it without a look; a driver that has none loses what it is given.
        ops.ndo_start_xmit = Some(entry!(side_proxy_ndo_start_xmit));
        direct.ndo_start_xmit = Some(side_proxy_ndo_start_xmit);
        // A driver that has no such operation counts in its `net_device`, whose shadow is read.
        ops.ndo_get_stats64 = Some(entry!(side_proxy_ndo_get_stats64));
        direct.ndo_get_stats64 = Some(side_proxy_ndo_get_stats64);
        // Asking the driver for each packet would double the crossings; the kernel's own test for
        // packets that go through a tunnel stands in for what drivers check.
        match ndo(slot!(ndo_features_check)) {
            Slot::Absent => {}
            Slot::Kernel("passthru_features_check") => {
                ops.ndo_features_check = Some(bindings::passthru_features_check);
                direct.ndo_features_check = ops.ndo_features_check;
            }
            _ => {
                ops.ndo_features_check = Some(entry!(side_proxy_ndo_features_check));
                direct.ndo_features_check = Some(side_proxy_ndo_features_check);
            }
        }
        if ndo(slot!(ndo_validate_addr)) == Slot::Kernel("eth_validate_addr") {
            ops.ndo_validate_addr = Some(bindings::eth_validate_addr);
            direct.ndo_validate_addr = ops.ndo_validate_addr;
        }
        if ndo(slot!(ndo_set_mac_address)) == Slot::Kernel("eth_mac_addr") {
            ops.ndo_set_mac_address = Some(bindings::eth_mac_addr);
            direct.ndo_set_mac_address = ops.ndo_set_mac_address;
        }
        Ok(KBox::new(
            Tables {
                ndo: ops,
                direct,
                ethtool: ethtool::table(ethtool, data),
            },
            GFP_KERNEL,
        )?)
    }

    /// Whether both hold the same functions and data.
    pub(super) fn same(&self, other: &Tables) -> bool {
        let words = |tables: &Tables| -> [u64; size_of::<Tables>() / 8] {
            // SAFETY: both tables are made of words: functions, and data padded to words that
            // `default` zeroed.
            unsafe { core::mem::transmute_copy(tables) }
        };
        words(self) == words(other)
    }

    /// Gives the table what `other` has and it lacks. The kernel has looked once, when the interface was registered,
    /// what operations there are; a proxy answers for a driver that has none.
    pub(super) fn inherit(&mut self, other: &Tables) {
        const WORDS: usize = size_of::<net_device_ops>() / size_of::<usize>();
        for (to, from) in [
            (&mut self.ndo, &other.ndo),
            (&mut self.direct, &other.direct),
        ] {
            // SAFETY: the table is made of words, each a function or 0.
            let to = unsafe { &mut *(&raw mut *to).cast::<[usize; WORDS]>() };
            // SAFETY: as above.
            let from = unsafe { &*(&raw const *from).cast::<[usize; WORDS]>() };
            for (to, from) in to.iter_mut().zip(from) {
                if *to == 0 {
                    *to = *from;
                }
            }
        }
    }

    /// Whether VLAN filters can be set.
    pub(crate) fn filters_vlans(&self) -> bool {
        self.ndo.ndo_vlan_rx_add_vid.is_some() && self.ndo.ndo_vlan_rx_kill_vid.is_some()
    }

    pub(super) fn net_device_ops(&self) -> *const net_device_ops {
        &self.ndo
    }

    /// The operations that call the proxies directly, or by slots that trap.
    pub(super) fn operations(&self, direct: bool) -> *const net_device_ops {
        match direct {
            true => &self.direct,
            false => &self.ndo,
        }
    }

    pub(super) fn ethtool_ops(&self) -> *const bindings::ethtool_ops {
        &self.ethtool
    }
}

/// The driver's side of `dev`.
///
/// # Safety
///
/// `dev` must be a device that [`super::net::RealDevice::new`] made and that is registered or being
/// registered, for as long as the value is used.
pub(super) unsafe fn owner<'a>(dev: *mut net_device) -> ArcBorrow<'a, NetDevice> {
    // SAFETY: the private area holds the owner's address, and the device table holds the owner for
    // as long as the device is registered.
    unsafe { ArcBorrow::from_raw(*bindings::side_netdev_priv(dev).cast::<*const NetDevice>()) }
}

/// The bytes of a structure that the kernel lends to an operation.
///
/// # Safety
///
/// `value` must be valid and nobody else's for as long as the slice is used.
pub(super) unsafe fn bytes<'a, T>(value: *mut T) -> &'a mut [u8] {
    // SAFETY: as the caller promises; the structures are plain data.
    unsafe { core::slice::from_raw_parts_mut(value.cast(), size_of::<T>()) }
}

// The proxies. For all of them: the kernel calls them with a registered device of SIDE's and with
// the arguments that the operation's declaration in include/linux/netdevice.h promises.

#[no_mangle]
unsafe extern "C" fn side_proxy_ndo_open(dev: *mut net_device) -> c_int {
    // SAFETY: see above.
    unsafe { owner(dev) }.open(slot!(ndo_open))
}

#[no_mangle]
unsafe extern "C" fn side_proxy_ndo_stop(dev: *mut net_device) -> c_int {
    // SAFETY: see above.
    unsafe { owner(dev) }.stop(slot!(ndo_stop))
}

#[no_mangle]
unsafe extern "C" fn side_proxy_ndo_start_xmit(
    skb: *mut sk_buff,
    dev: *mut net_device,
) -> bindings::netdev_tx_t {
    // SAFETY: see above; the stack gives its reference away.
    let (device, packet) = unsafe { (owner(dev), Packet::from_raw(skb)) };
    let Some(packet) = packet else {
        return bindings::netdev_tx_NETDEV_TX_OK;
    };
    match transmit(device, packet, slot!(ndo_start_xmit)) {
        Verdict::Taken => bindings::netdev_tx_NETDEV_TX_OK,
        Verdict::Busy(packet) => {
            // The stack keeps its reference.
            let _ = packet.into_raw();
            bindings::netdev_tx_NETDEV_TX_BUSY
        }
    }
}

#[no_mangle]
unsafe extern "C" fn side_proxy_ndo_features_check(
    skb: *mut sk_buff,
    _dev: *mut net_device,
    features: bindings::netdev_features_t,
) -> bindings::netdev_features_t {
    // SAFETY: a live packet.
    unsafe { bindings::side_features_check(skb, features) }
}

#[no_mangle]
unsafe extern "C" fn side_proxy_ndo_set_rx_mode(dev: *mut net_device) {
    // SAFETY: see above.
    unsafe { owner(dev) }.set_rx_mode(slot!(ndo_set_rx_mode))
}

#[no_mangle]
unsafe extern "C" fn side_proxy_ndo_set_mac_address(
    dev: *mut net_device,
    address: *mut c_void,
) -> c_int {
    // SAFETY: `address` is a sockaddr with room for MAX_ADDR_LEN bytes of address.
    let address = unsafe { bytes(address.cast::<[u8; 16]>()) };
    // SAFETY: see above.
    unsafe { owner(dev) }.set_mac(slot!(ndo_set_mac_address), address)
}

#[no_mangle]
unsafe extern "C" fn side_proxy_ndo_validate_addr(dev: *mut net_device) -> c_int {
    // SAFETY: see above.
    unsafe { owner(dev) }.simple(slot!(ndo_validate_addr), "ndo_validate_addr", &[])
}

#[no_mangle]
unsafe extern "C" fn side_proxy_ndo_eth_ioctl(
    dev: *mut net_device,
    request: *mut bindings::ifreq,
    command: c_int,
) -> c_int {
    // Only the MII requests carry plain data; the others would hand over a user pointer.
    const MII: core::ops::RangeInclusive<c_int> =
        bindings::SIOCGMIIPHY as c_int..=bindings::SIOCSMIIREG as c_int;
    if !MII.contains(&command) {
        return EOPNOTSUPP.to_errno();
    }
    // SAFETY: see above; the request is the caller's own copy.
    let (device, request) = unsafe { (owner(dev), bytes(request)) };
    // The name, and the eight bytes of `struct mii_ioctl_data`.
    let mut copy = [0; size_of::<bindings::ifreq>()];
    copy[..24].copy_from_slice(&request[..24]);
    let args = [u64::from(command as u32)];
    let result = device.with_structure(slot!(ndo_eth_ioctl), "ndo_eth_ioctl", &mut copy, &args);
    if result == 0 {
        request[16..24].copy_from_slice(&copy[16..24]);
    }
    result
}

#[no_mangle]
unsafe extern "C" fn side_proxy_ndo_change_mtu(dev: *mut net_device, mtu: c_int) -> c_int {
    // SAFETY: see above.
    unsafe { owner(dev) }.change_mtu(slot!(ndo_change_mtu), mtu)
}

#[no_mangle]
unsafe extern "C" fn side_proxy_ndo_tx_timeout(dev: *mut net_device, queue: c_uint) {
    // SAFETY: see above.
    let device = unsafe { owner(dev) };
    device.tx_timeout(slot!(ndo_tx_timeout), queue)
}

#[no_mangle]
unsafe extern "C" fn side_proxy_ndo_get_stats64(
    dev: *mut net_device,
    storage: *mut bindings::rtnl_link_stats64,
) {
    // SAFETY: see above.
    let stats = unsafe { owner(dev) }.stats64();
    // SAFETY: the storage is the caller's; it consists of 64-bit counters only.
    unsafe {
        storage
            .cast::<[u64; super::net::STATS_WORDS]>()
            .write(stats)
    }
}

#[no_mangle]
unsafe extern "C" fn side_proxy_ndo_vlan_rx_add_vid(
    dev: *mut net_device,
    protocol: u16,
    vid: u16,
) -> c_int {
    // SAFETY: see above.
    unsafe { owner(dev) }.vlan(slot!(ndo_vlan_rx_add_vid), true, protocol, vid)
}

#[no_mangle]
unsafe extern "C" fn side_proxy_ndo_vlan_rx_kill_vid(
    dev: *mut net_device,
    protocol: u16,
    vid: u16,
) -> c_int {
    // SAFETY: see above.
    unsafe { owner(dev) }.vlan(slot!(ndo_vlan_rx_kill_vid), false, protocol, vid)
}

#[no_mangle]
unsafe extern "C" fn side_proxy_ndo_fix_features(
    dev: *mut net_device,
    features: bindings::netdev_features_t,
) -> bindings::netdev_features_t {
    // SAFETY: see above.
    unsafe { owner(dev) }.fix_features(slot!(ndo_fix_features), features)
}

#[no_mangle]
unsafe extern "C" fn side_proxy_ndo_set_features(
    dev: *mut net_device,
    features: bindings::netdev_features_t,
) -> c_int {
    // SAFETY: see above.
    unsafe { owner(dev) }.set_features(slot!(ndo_set_features), features)
}

/// Passes a time stamp configuration without the pointer in its middle.
fn hwtstamp(
    device: &NetDevice,
    slot: usize,
    name: &'static str,
    config: &mut bindings::kernel_hwtstamp_config,
    after: &[u64],
) -> c_int {
    let mut copy = *config;
    copy.ifr = core::ptr::null_mut();
    // SAFETY: the copy is ours; it holds plain data.
    let result = device.with_structure(slot, name, unsafe { bytes(&mut copy) }, after);
    config.flags = copy.flags;
    config.tx_type = copy.tx_type;
    config.rx_filter = copy.rx_filter;
    result
}

#[no_mangle]
unsafe extern "C" fn side_proxy_ndo_hwtstamp_get(
    dev: *mut net_device,
    config: *mut bindings::kernel_hwtstamp_config,
) -> c_int {
    // SAFETY: see above.
    let (device, config) = unsafe { (owner(dev), &mut *config) };
    hwtstamp(
        &device,
        slot!(ndo_hwtstamp_get),
        "ndo_hwtstamp_get",
        config,
        &[],
    )
}

#[no_mangle]
unsafe extern "C" fn side_proxy_ndo_hwtstamp_set(
    dev: *mut net_device,
    config: *mut bindings::kernel_hwtstamp_config,
    _extack: *mut bindings::netlink_ext_ack,
) -> c_int {
    // SAFETY: see above.
    let (device, config) = unsafe { (owner(dev), &mut *config) };
    hwtstamp(
        &device,
        slot!(ndo_hwtstamp_set),
        "ndo_hwtstamp_set",
        config,
        &[0],
    )
}
