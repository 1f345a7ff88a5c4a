// SPDX-License-Identifier: GPL-2.0

//! The ring of deferred calls: what a driver has called without crossing is carried out here, in
//! order, when its upcall leaves ring 3 by a gate, and before the gate's own call.
//!
//! Each entry is fetched once and treated as the call that it stands for: the same handler with the
//! same checks. So a forged or replayed entry is a forged or repeated call. While the ring is
//! drained the stack may transmit by the same device, and so begin an upcall inside the drain: that
//! one's calls follow behind those of the outer.

use super::napi::Napi;
use super::net::NetDevice;
use super::{receive, skb};
use crate::call::{Call, Violation};
use crate::domain::Domain;
use crate::fault_handler::frame::Frame;
use crate::memory::VirtualCpu;
use crate::run::{check_arguments, Context};
use crate::side_stubs::contract::*;
use crate::side_stubs::policy::Class;
use crate::side_stubs::rings::*;
use crate::side_stubs::table;
use crate::sys::net_layout::NAPI_GRO;
use core::cell::Cell;
use core::ops::Range;
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use kernel::sync::Arc;

const GRO_RECEIVE: usize = hybrid("gro_receive_skb") as usize;
const COMPLETE_DONE: usize = hybrid("napi_complete_done") as usize;
const SCHEDULE: usize = hybrid("__napi_schedule") as usize;
const SCHEDULE_IRQOFF: usize = hybrid("__napi_schedule_irqoff") as usize;
const KFREE_ANY: usize = hybrid("dev_kfree_skb_any_reason") as usize;
const KFREE_IRQ: usize = hybrid("dev_kfree_skb_irq_reason") as usize;
const CONSUME: usize = hybrid("consume_skb") as usize;
const NAPI_CONSUME: usize = hybrid("napi_consume_skb") as usize;
const REASON_DROP: usize = hybrid("sk_skb_reason_drop") as usize;

/// An atomic upcall begins on `cpu`: says what it may answer locally. Bottom halves are off.
pub(crate) fn begin(domain: &Arc<Domain>, cpu: &VirtualCpu) {
    let flags = domain.optimisations.load(Ordering::Relaxed);
    cpu.local.set(flags.into());
    if flags == 0 {
        return;
    }
    cpu.ring_count.set(cpu.ring_base.load(Ordering::Relaxed));
    if flags & RECEIVE_POOL != 0 {
        super::buffers::fill(domain, cpu);
    }
}

/// Carries out the calls that the upcall on `cpu` has deferred; `polled` is the instance that it polls. Bottom
/// halves are off. On a breach, says by which import.
#[inline(always)]
pub(crate) fn drain(
    domain: &Arc<Domain>,
    cpu: &VirtualCpu,
    upcall: &'static str,
    polled: Option<&Napi>,
) -> Result<(), (&'static str, Violation)> {
    let base = cpu.ring_base.load(Ordering::Relaxed);
    let end = pending(cpu.ring_count.get());
    if end <= base {
        return Ok(());
    }
    cpu.ring_base.store(end, Ordering::Relaxed);
    let mut sender = None;
    let result = carry_out(domain, cpu, upcall, polled, base..end, &mut sender);
    if let Some(device) = sender {
        device.flush_all();
    }
    cpu.ring_base.store(base, Ordering::Relaxed);
    cpu.ring_count.set(base);
    result
}

fn carry_out(
    domain: &Arc<Domain>,
    cpu: &VirtualCpu,
    upcall: &'static str,
    polled: Option<&Napi>,
    entries: Range<u64>,
    sender: &mut Option<Arc<NetDevice>>,
) -> Result<(), (&'static str, Violation)> {
    let polls = polled.is_some();
    let mut other = None;
    let hybrids = domain.hybrids.load(Ordering::Relaxed);
    let ring = cpu
        .window
        .parts::<{ RING_ENTRY_SIZE as usize }>(VCPU_RING, RING_ENTRIES);
    let ring = ring.map_err(|fault| ("deferred", fault.into()))?;
    for n in entries {
        let Some(fetched) = ring.get(n) else {
            return Err(("deferred", Violation::new("bad-ring-entry", n)));
        };
        let words = [
            fetched.get::<_, 0>(),
            fetched.get::<_, 8>(),
            fetched.get::<_, 16>(),
            fetched.get::<_, 24>(),
        ];
        let Some(entry) = decode(words) else {
            return Err(("deferred", Violation::new("bad-ring-entry", words[0])));
        };
        if hybrids >> entry.number & 1 == 0 {
            let violation = Violation::new("not-imported", words[0]);
            return Err((HYBRIDS[entry.number], violation));
        }
        let [a, b, c] = entry.args;
        let freed = match entry.number {
            KFREE_ANY | KFREE_IRQ => Some((a, b as u32 == 1)),
            CONSUME | NAPI_CONSUME => Some((a, true)),
            REASON_DROP => Some((b, false)),
            _ => None,
        };
        let result = match (freed, entry.number) {
            (Some((handle, sent)), _) => skb::free_in_slot(domain, handle, c, sent).map(|device| {
                if device.is_some() {
                    *sender = device;
                }
                0
            }),
            (None, GRO_RECEIVE) => find(domain, polled, &mut other, a.wrapping_sub(NAPI_GRO))
                .and_then(|napi| {
                    let skb = domain.skb.in_slot(b, c)?;
                    receive::by_napi(domain, napi, skb, polls)
                }),
            (None, COMPLETE_DONE) => find(domain, polled, &mut other, a)
                .and_then(|napi| napi.complete_here(b as u32 as i32, polls)),
            (None, SCHEDULE | SCHEDULE_IRQOFF) => find(domain, polled, &mut other, a)
                .and_then(|napi| napi.schedule_deferred())
                .map(|()| 0),
            _ => {
                // The address of the gate tells the place in the import table.
                let gate = domain.memory.control(entry.number as u64 * 8);
                let index = stub_index(gate.wrapping_add(2)).unwrap_or(0) as usize;
                by_gate(domain, upcall, index, entry.args)
            }
        };
        if let Err(violation) = result {
            return Err((HYBRIDS[entry.number], violation));
        }
        if domain.is_dead() {
            return Ok(());
        }
    }
    Ok(())
}

/// The NAPI instance at `handle`: nearly always the one that is `polled`; `other` is the last other one.
#[inline(always)]
fn find<'a>(
    domain: &Domain,
    polled: Option<&'a Napi>,
    other: &'a mut Option<Arc<Napi>>,
    handle: u64,
) -> Result<&'a Napi, Violation> {
    if let Some(napi) = polled.filter(|napi| napi.handle == handle) {
        return Ok(napi);
    }
    if other.as_ref().is_none_or(|napi| napi.handle != handle) {
        *other = domain.net.napis.get(handle);
    }
    other.as_deref().ok_or(Violation::new("not-a-napi", handle))
}

/// Calls the handler of the gate of import `index`.
fn by_gate(
    domain: &Arc<Domain>,
    upcall: &'static str,
    index: usize,
    args: [u64; 3],
) -> Result<u64, Violation> {
    let import = table::get(index).map(|import| import.class);
    let Some(Class::Gate {
        handler,
        args: checks,
        ..
    }) = import
    else {
        return Err(Violation::new("bad-ring-entry", index as u64));
    };
    let mut frame = Frame::default();
    [frame.rdi, frame.rsi, frame.rdx] = args;
    let mut call = Call {
        domain,
        frame: &mut frame,
        context: Context::Atomic,
        upcall,
        // Nothing sleeps in an atomic context.
        deadline: 0,
        spun: Cell::new(0),
    };
    check_arguments(&call, checks)?;
    handler(&mut call)
}
