// SPDX-License-Identifier: GPL-2.0

//! Address lists that a driver keeps in step with its device (`__dev_uc_sync`, `__dev_mc_sync`): which
//! addresses it was told of is remembered here, since the nodes of a shadow's lists are made afresh
//! whenever the lists change.

use super::net_ops::Scratch;
use crate::call::{Call, Outcome, Violation};
use crate::sys::lock::BhLock;
use crate::sys::net_layout::*;
use kernel::alloc::flags::GFP_ATOMIC;
use kernel::prelude::*;

type Address = [u8; 32];

/// Nodes of a list that are looked at.
const NODES_MAX: usize = 1024;

/// Addresses that drivers were told of, by the list (its place in the shadow).
pub(crate) struct State {
    synced: BhLock<KVec<(u64, Address)>>,
}

impl State {
    pub(crate) fn new() -> Self {
        State {
            synced: BhLock::new(KVec::new()),
        }
    }

    fn find(&self, which: impl Fn(u64, &Address) -> bool) -> Option<Address> {
        let synced = self.synced.lock();
        let found = synced.iter().find(|(list, address)| which(*list, address));
        found.map(|(_, address)| *address)
    }

    fn remove(&self, list: u64, address: &Address) {
        let mut synced = self.synced.lock();
        synced.retain(|(other, known)| *other != list || known != address);
    }
}

/// The list at argument 0 of the device at argument 1.
fn list(call: &Call<'_>) -> Result<u64, Violation> {
    let (list, device) = (call.arg(0), call.domain.net.device(call.arg(1))?);
    match list.wrapping_sub(device.handle) {
        DEVICE_UC | DEVICE_MC => Ok(list),
        _ => Err(Violation::new("bad-address-list", list)),
    }
}

/// The addresses in the shadow's list at `list`.
fn addresses(call: &Call<'_>, list: u64) -> Result<KVec<Address>, Violation> {
    let mut found = KVec::new();
    let mut node: u64 = call.read(list)?;
    while node != list && node != 0 {
        if found.len() == NODES_MAX {
            return Err(Violation::new("endless-list", list));
        }
        let address = call.read(node.wrapping_add(ADDRESS_BYTES))?;
        if found.push(address, GFP_ATOMIC).is_err() {
            return Err(Violation::new("out-of-memory", list));
        }
        node = call.read(node)?;
    }
    Ok(found)
}

/// Calls `function(dev, address)` of the driver. A function that is NULL does nothing.
fn tell(call: &Call<'_>, name: &'static str, function: u64, address: &Address) -> i32 {
    if function == 0 {
        return 0;
    }
    let Ok(scratch) = Scratch::new(call.domain, address.len()) else {
        return ENOMEM.to_errno();
    };
    if scratch.write(0, address).is_err() {
        return EFAULT.to_errno();
    }
    match call.upcall(name, function, &[call.arg(1), scratch.address]) {
        Ok(value) => value as i32,
        Err(_) => EIO.to_errno(),
    }
}

/// Tells the driver's `function` of each address that `which` chooses, and forgets it. A function that enters
/// it again would be called for ever.
fn forget(
    call: &Call<'_>,
    list: u64,
    function: u64,
    which: impl Fn(u64, &Address) -> bool,
) -> Result<(), Violation> {
    let state = &call.domain.addresses;
    for _ in 0..=NODES_MAX {
        let Some(address) = state.find(&which) else {
            return Ok(());
        };
        state.remove(list, &address);
        tell(call, "unsync", function, &address);
    }
    Err(Violation::new("endless-list", list))
}

/// `__hw_addr_sync_dev(list, dev, sync, unsync)`
pub(crate) fn sync(call: &mut Call<'_>) -> Outcome {
    let list = list(call)?;
    let wanted = addresses(call, list)?;
    let state = &call.domain.addresses;
    let stale = |other, address: &Address| other == list && !wanted.contains(address);
    forget(call, list, call.arg(3), stale)?;
    for address in &wanted {
        if state
            .find(|other, known| other == list && known == address)
            .is_some()
        {
            continue;
        }
        let status = tell(call, "sync", call.arg(2), address);
        if status != 0 {
            return Ok(crate::call::int(status));
        }
        let mut synced = state.synced.lock();
        if synced.push((list, *address), GFP_ATOMIC).is_err() {
            return Ok(crate::call::errno(ENOMEM));
        }
    }
    Ok(0)
}

/// `__hw_addr_unsync_dev(list, dev, unsync)`
pub(crate) fn unsync(call: &mut Call<'_>) -> Outcome {
    let list = list(call)?;
    forget(call, list, call.arg(2), |other, _| other == list)?;
    Ok(0)
}
