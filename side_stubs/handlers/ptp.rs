// SPDX-License-Identifier: GPL-2.0

//! PTP hardware clocks. The kernel has a `ptp_clock_info` of SIDE's own, whose functions are proxies
//! and stand only where the driver has one.

use crate::call::{errno, int, Call, Outcome, Violation};
use crate::domain::Domain;
use crate::objects::Table;
use crate::run::{self, Context};
use crate::sys::access::bytes_of;
use crate::sys::clock::TimeSpec;
use crate::sys::lock::BhLock;
use crate::sys::pci::PciRef;
use crate::sys::ptp::{self, field, Description, Registered};
use crate::tasks::Tasks;
use kernel::prelude::*;
use kernel::sync::Arc;

/// The operations that SIDE forwards.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    AdjFine,
    AdjTime,
    GetTime,
    GetTimeX,
    SetTime,
    GetCross,
    Enable,
}

const OPS: [Op; 7] = [
    Op::AdjFine,
    Op::AdjTime,
    Op::GetTime,
    Op::GetTimeX,
    Op::SetTime,
    Op::GetCross,
    Op::Enable,
];

/// One clock of the driver's.
pub(crate) struct PtpClock {
    domain: Arc<Domain>,
    /// Domain address of the driver's `ptp_clock_info`, which its functions are called with.
    info: u64,
    /// The driver's functions, 0 where it has none.
    functions: [u64; OPS.len()],
    /// The handle that the driver knows the clock by: an otherwise unused heap object.
    handle: u64,
    /// The device that it belongs to.
    parent: PciRef,
    registered: BhLock<Option<Registered>>,
}

/// The clocks of a domain, by handle.
pub(crate) struct State {
    clocks: Table<PtpClock>,
    /// The tasks that are in an operation of one of them: the kernel holds that clock for them.
    callers: Tasks,
}

/// Clocks of a domain: each costs the kernel more than it costs the driver.
const CLOCKS_MAX: usize = 16;
/// `PTP_MAX_ALARMS` of drivers/ptp/ptp_clock.c, and what is usual of other channels.
const ALARMS_MAX: i32 = 4;
const CHANNELS_MAX: i32 = 64;

impl State {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.clocks.len()
    }

    pub(crate) fn new() -> Self {
        State {
            clocks: Table::new(),
            callers: Tasks::new(),
        }
    }

    /// Unregisters all clocks, or keeps them for the next driver. Idempotent. Process context.
    pub(crate) fn release(&self, domain: &Arc<Domain>) {
        while let Some((_, clock)) = self.clocks.pop() {
            let registered = clock.registered.lock().take();
            if let (Some(driver), Some(registered)) = (domain.keeper(), registered) {
                driver.kept.keep_clock(&clock.parent, registered);
            }
            let _ = domain.memory.free(clock.handle);
        }
    }
}

impl PtpClock {
    fn unregister(&self) {
        // Outside the lock: unregistering sleeps.
        let registered = self.registered.lock().take();
        drop(registered);
        let _ = self.domain.memory.free(self.handle);
    }

    fn call(&self, op: Op, args: &[u64]) -> i32 {
        let function = self.functions[op as usize];
        if self.domain.is_dead() {
            return EAGAIN.to_errno();
        }
        if function == 0 {
            return EOPNOTSUPP.to_errno();
        }
        let Some(_caller) = self.domain.ptp.callers.enter() else {
            return EBUSY.to_errno();
        };
        match run::upcall(&self.domain, "ptp", function, args, Context::Process) {
            Ok(value) => (value as i32).max(-4095),
            Err(_) => EIO.to_errno(),
        }
    }

    /// An operation with one number.
    pub(crate) fn number(&self, op: Op, value: u64) -> i32 {
        self.call(op, &[self.info, value])
    }

    /// An operation on a structure, which is copied in and out, and perhaps a number.
    pub(crate) fn exchange(&self, op: Op, room: Option<&mut [u8]>, extra: Option<u64>) -> i32 {
        let memory = &self.domain.memory;
        let Some(room) = room else {
            return EINVAL.to_errno();
        };
        let Ok(scratch) = memory.alloc(room.len() as u64) else {
            return ENOMEM.to_errno();
        };
        let mut status = match memory.write_bytes(scratch, room) {
            Ok(()) => self.call(op, &[self.info, scratch, extra.unwrap_or(0)]),
            Err(_) => EFAULT.to_errno(),
        };
        // What `enable` is given, the kernel does not want back.
        if op != Op::Enable && memory.read_bytes(scratch, room).is_err() {
            status = EFAULT.to_errno();
        }
        let _ = memory.free(scratch);
        status
    }

    /// `gettime64` and `gettimex64`; the system's time stamps go in and come back where asked for.
    pub(crate) fn get_time(&self, op: Op, time: &mut TimeSpec, system: Option<&mut [u8]>) -> i32 {
        const TIME: u64 = size_of::<TimeSpec>() as u64;
        let memory = &self.domain.memory;
        let len = system.as_ref().map_or(0, |room| room.len() as u64);
        let Ok(scratch) = memory.alloc(TIME + len) else {
            return ENOMEM.to_errno();
        };
        let stamps = if len == 0 { 0 } else { scratch + TIME };
        let mut status = 0;
        if let Some(room) = &system {
            if memory.write_bytes(stamps, room).is_err() {
                status = EFAULT.to_errno();
            }
        }
        if status == 0 {
            status = self.call(op, &[self.info, scratch, stamps]);
        }
        if status == 0 {
            match memory.read::<TimeSpec>(scratch) {
                Ok(value) if (0..1_000_000_000).contains(&value.tv_nsec) => *time = value,
                _ => status = EIO.to_errno(),
            }
            if let Some(room) = system {
                if memory.read_bytes(stamps, room).is_err() {
                    status = EFAULT.to_errno();
                }
            }
        }
        let _ = memory.free(scratch);
        status
    }

    /// `settime64`.
    pub(crate) fn set_time(&self, time: &TimeSpec) -> i32 {
        let memory = &self.domain.memory;
        let Ok(scratch) = memory.alloc(size_of::<TimeSpec>() as u64) else {
            return ENOMEM.to_errno();
        };
        let status = match memory.write_bytes(scratch, bytes_of(time)) {
            Ok(()) => self.call(Op::SetTime, &[self.info, scratch]),
            Err(_) => EFAULT.to_errno(),
        };
        let _ = memory.free(scratch);
        status
    }
}

/// `ptp_clock_register(info, parent)`: a handle, or an error pointer.
pub(crate) fn register(call: &mut Call<'_>) -> Outcome {
    let info = call.arg(0);
    let parent = call.domain.pci.by_device(call.arg(1));
    let parent = parent.ok_or(Violation::new("bad-device", call.arg(1)))?;
    let mut copy = [0u8; ptp::INFO_SIZE];
    call.read_bytes(info, &mut copy)?;
    let word = |at: usize| u64::from_le_bytes(copy[at..at + 8].try_into().unwrap_or([0; 8]));
    let number = |at: usize| i32::from_le_bytes(copy[at..at + 4].try_into().unwrap_or([0; 4]));
    let mut functions = [0; OPS.len()];
    for op in OPS {
        let function = word(ptp::op_offset(op));
        if function != 0 && !call.domain.memory.is_text(function) {
            return Err(Violation::new("bad-function", function));
        }
        functions[op as usize] = function;
    }
    // ptp_clock_register() itself demands a way to read the clock and to set it up.
    let needed = (functions[Op::GetTime as usize] | functions[Op::GetTimeX as usize] != 0)
        && functions[Op::SetTime as usize] != 0;
    let counts = [field::N_ALARM, field::N_EXT_TS, field::N_PER_OUT].map(number);
    let served = counts.iter().all(|n| (0..=CHANNELS_MAX).contains(n)) && counts[0] <= ALARMS_MAX;
    if !needed || !served {
        return Ok(errno(EINVAL));
    }
    if call.domain.ptp.count() >= CLOCKS_MAX {
        return Ok(errno(ENOMEM));
    }
    let mut about = Description {
        name: [0; 32],
        max_adj: number(field::MAX_ADJ).max(0),
        n_alarm: counts[0],
        n_ext_ts: counts[1],
        n_per_out: counts[2],
        pps: i32::from(number(field::PPS) != 0),
    };
    for (to, from) in about.name[..31].iter_mut().zip(&copy[field::NAME..]) {
        match from {
            0 => break,
            byte if byte.is_ascii_graphic() || *byte == b' ' => *to = *byte,
            _ => *to = b'?',
        }
    }
    let Ok(handle) = call.domain.memory.alloc(32) else {
        return Ok(errno(ENOMEM));
    };
    let clock = PtpClock {
        domain: call.domain.clone(),
        info,
        functions,
        handle,
        parent: parent.raw.clone(),
        registered: BhLock::new(None),
    };
    let kept = call
        .domain
        .driver()
        .and_then(|driver| driver.kept.take_clock(&parent.raw));
    let registered = Arc::new(clock, GFP_KERNEL)
        .map_err(Error::from)
        .and_then(|clock| {
            let has = |op: Op| functions[op as usize] != 0;
            let registered = match kept {
                Some(kept) => {
                    kept.serve(&clock);
                    kept
                }
                None => Registered::new(&clock, &parent.raw, &about, has)?,
            };
            call.domain.ptp.clocks.insert(handle, clock.clone())?;
            *clock.registered.lock() = Some(registered);
            Ok(())
        });
    match registered {
        Ok(()) => Ok(handle),
        Err(error) => {
            let _ = call.domain.memory.free(handle);
            Ok(errno(error))
        }
    }
}

fn clock(call: &Call<'_>) -> Result<Arc<PtpClock>, Violation> {
    let handle = call.arg(0);
    call.domain
        .ptp
        .clocks
        .get(handle)
        .ok_or(Violation::new("bad-ptp-clock", handle))
}

/// `ptp_clock_unregister(clock)`. Waits for calls of the clock's functions, so none of them may make it.
pub(crate) fn unregister(call: &mut Call<'_>) -> Outcome {
    let clock = clock(call)?;
    if call.domain.ptp.callers.has_this() {
        return Err(Violation::new("ptp-self-wait", clock.handle));
    }
    call.domain.ptp.clocks.remove(clock.handle);
    clock.unregister();
    Ok(0)
}

/// `ptp_clock_index(clock)`.
pub(crate) fn index(call: &mut Call<'_>) -> Outcome {
    let clock = clock(call)?;
    let index = clock
        .registered
        .lock()
        .as_ref()
        .map_or(-1, Registered::index);
    Ok(int(index))
}
