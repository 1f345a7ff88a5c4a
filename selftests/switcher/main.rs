// SPDX-License-Identifier: GPL-2.0

//! A bare view that runs what a test program hands over, by `/dev/side_selftest`.
//!
//! For tests only: whoever can open the device runs code of his own in ring 3 with the kernel's
//! page tables away. The sources of the switcher and the view are those of the module itself.

#![allow(dead_code, unreachable_pub)]

use kernel::{
    fs::File,
    ioctl::{_IOC_SIZE, _IOW, _IOWR},
    miscdevice::{MiscDevice, MiscDeviceOptions, MiscDeviceRegistration},
    new_mutex,
    prelude::*,
    sync::Mutex,
    time::{Instant, Monotonic},
    transmute::{AsBytes, FromBytes},
    uaccess::{UserPtr, UserSlice},
};

#[path = "../../fault_handler/frame.rs"]
mod frame;
mod fault_handler {
    pub(crate) use crate::frame;
}
#[path = "../../src/pages/mod.rs"]
mod pages;
#[path = "../../src/switcher/mod.rs"]
mod switcher;

use pages::table::{direct_map, OwnedPage};
use pages::{Kind, Perm, View};
use switcher::Frame;

module! {
    type: Selftest,
    name: "side_selftest",
    authors: ["The SIDE developers"],
    description: "Tests of the ring switch",
    license: "GPL",
}

const CODE: u64 = 0x10000;
const DATA: u64 = 0x20000;
const STACK: u64 = 0x30000;
const PAGE: usize = 4096;
/// GS base of the payload: inside the data page.
const GS_BASE: u64 = DATA + 0x800;
const LARGEST_DUMP: usize = 4096;

/// One run of a payload. The same structure is in `selftests/switcher.c`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Run {
    code: u64,
    length: u64,
    max_gates: u64,
    max_ns: u64,
    registers: [u64; 22],
    vector: u64,
    error_code: u64,
    cr2: u64,
    gates: u64,
    interrupts: u64,
    nmis: u64,
    ns: u64,
    longest_ns: u64,
    flags: u64,
}
/// Keep the tick of the switcher armed.
const FLAG_TICK: u64 = 1;

// SAFETY: words only.
unsafe impl FromBytes for Run {}
// SAFETY: words only, without padding.
unsafe impl AsBytes for Run {}

/// Where to put the present entries of one CPU's root: triples of address, level, entry.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Walk {
    cpu: u64,
    buffer: u64,
    capacity: u64,
    count: u64,
}

// SAFETY: words only.
unsafe impl FromBytes for Walk {}
// SAFETY: words only, without padding.
unsafe impl AsBytes for Walk {}

const RUN: u32 = _IOWR::<Run>('S' as u32, 1);
const WALK: u32 = _IOWR::<Walk>('S' as u32, 2);
/// Maps (value 1) or takes away (0) the data page, with a flush.
const REMAP: u32 = _IOW::<u64>('S' as u32, 3);
/// In: a CPU; out: the physical address of its count of NMIs.
const NMI_COUNT: u32 = _IOWR::<u64>('S' as u32, 4);

extern "C" {
    fn side_selftest_nmi_count(cpu: u32) -> u64;
    fn side_selftest_claim_nmis() -> i32;
    fn side_selftest_leave_nmis();
}

#[pin_data(PinnedDrop)]
struct Selftest {
    #[pin]
    device: MiscDeviceRegistration<Session>,
    _switcher: Switcher,
}

/// The switcher, from its `init` to its `exit`.
struct Switcher;

impl Switcher {
    fn new() -> Result<Self> {
        switcher::init()?;
        // SAFETY: given back when this is dropped.
        unsafe { side_selftest_claim_nmis() };
        Ok(Self)
    }
}

impl Drop for Switcher {
    fn drop(&mut self) {
        // SAFETY: `new` has registered it.
        unsafe { side_selftest_leave_nmis() };
        switcher::exit();
    }
}

impl kernel::InPlaceModule for Selftest {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _switcher: Switcher::new()?,
            device <- MiscDeviceRegistration::register(MiscDeviceOptions {
                name: c"side_selftest",
            }),
        })
    }
}

#[pinned_drop]
impl PinnedDrop for Selftest {
    fn drop(self: Pin<&mut Self>) {}
}

/// One open file: one domain of three pages.
#[pin_data]
struct Session {
    view: View,
    code: OwnedPage,
    data: OwnedPage,
    stack: OwnedPage,
    #[pin]
    lock: Mutex<()>,
}

#[vtable]
impl MiscDevice for Session {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Pin<KBox<Self>>> {
        let view = View::new()?;
        let code = OwnedPage::new(true)?;
        let data = OwnedPage::new(true)?;
        let stack = OwnedPage::new(true)?;
        view.map(CODE, code.phys(), Perm::ReadExecute, Kind::Ram)?;
        view.map(DATA, data.phys(), Perm::ReadWrite, Kind::Ram)?;
        view.map(STACK, stack.phys(), Perm::ReadWrite, Kind::Ram)?;
        KBox::try_pin_init(
            try_pin_init!(Session { view, code, data, stack, lock <- new_mutex!(()) }),
            GFP_KERNEL,
        )
    }

    fn ioctl(me: Pin<&Session>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let slice = UserSlice::new(UserPtr::from_addr(arg), _IOC_SIZE(cmd));
        match cmd {
            RUN => {
                let (mut reader, mut writer) = slice.reader_writer();
                let mut run: Run = reader.read()?;
                let _guard = me.lock.lock();
                me.run(&mut run)?;
                writer.write(&run)?;
            }
            WALK => {
                let (mut reader, mut writer) = slice.reader_writer();
                let mut walk: Walk = reader.read()?;
                me.walk(&mut walk)?;
                writer.write(&walk)?;
            }
            REMAP => {
                let value: u64 = slice.reader().read()?;
                if value == 0 {
                    me.view.unmap(DATA).ok_or(ENOENT)?;
                    me.view.flush();
                } else {
                    me.view
                        .map(DATA, me.data.phys(), Perm::ReadWrite, Kind::Ram)?;
                }
            }
            NMI_COUNT => {
                let (mut reader, mut writer) = slice.reader_writer();
                let cpu: u64 = reader.read()?;
                if cpu >= switcher::context::cpu_ids() as u64 {
                    return Err(EINVAL);
                }
                // SAFETY: the CPU is a possible one.
                writer.write(&unsafe { side_selftest_nmi_count(cpu as u32) })?;
            }
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}

fn frame_of(registers: &[u64; 22]) -> Frame {
    // SAFETY: a frame is 22 words (asserted against the assembly's layout).
    unsafe { core::mem::transmute(*registers) }
}

fn registers_of(frame: &Frame) -> [u64; 22] {
    // SAFETY: as above.
    unsafe { core::mem::transmute(*frame) }
}

impl Session {
    fn run(&self, run: &mut Run) -> Result {
        let length = run.length as usize;
        if length > PAGE {
            return Err(EINVAL);
        }
        if length != 0 {
            let mut code = KVec::new();
            UserSlice::new(UserPtr::from_addr(run.code as usize), length)
                .read_all(&mut code, GFP_KERNEL)?;
            let to = direct_map(self.code.phys());
            // SAFETY: the page is ours and as long as the check above allows.
            unsafe { core::ptr::copy_nonoverlapping(code.as_ptr(), to, length) };
        }
        let mut frame = frame_of(&run.registers);
        let begin = Instant::<Monotonic>::now();
        (run.gates, run.interrupts, run.nmis, run.longest_ns) = (0, 0, 0, 0);
        let mut last = 0;
        let exit = loop {
            if run.flags & FLAG_TICK != 0 {
                switcher::arm_tick();
            }
            let exit = switcher::enter(&self.view, &mut frame, GS_BASE);
            let external = exit.vector >= 32 && exit.vector != switcher::GATE_VECTOR;
            if external || switcher::is_handed_on(exit.vector) {
                if external {
                    run.interrupts += 1;
                } else {
                    run.nmis += 1;
                }
                switcher::hand_on(exit.vector);
                let now = begin.elapsed().as_nanos() as u64;
                run.longest_ns = run.longest_ns.max(now - last);
                last = now;
                if run.max_ns != 0 && now > run.max_ns || kernel::current!().signal_pending() {
                    break exit;
                }
                continue;
            }
            switcher::hand_on(switcher::GATE_VECTOR);
            if exit.vector != switcher::GATE_VECTOR {
                break exit;
            }
            run.gates += 1;
            if run.gates == run.max_gates {
                break exit;
            }
        };
        run.registers = registers_of(&frame);
        run.vector = exit.vector.into();
        run.error_code = exit.error_code;
        run.cr2 = exit.cr2;
        run.ns = begin.elapsed().as_nanos() as u64;
        Ok(())
    }

    fn walk(&self, walk: &mut Walk) -> Result {
        let mut found = KVVec::<u64>::with_capacity(3 * LARGEST_DUMP, GFP_KERNEL)?;
        self.view.walk(walk.cpu as usize, &mut |va, level, entry| {
            if found.len() < 3 * LARGEST_DUMP {
                for word in [va, level.into(), entry] {
                    let _ = found.push(word, GFP_KERNEL);
                }
            }
        });
        let mut writer = UserSlice::new(
            UserPtr::from_addr(walk.buffer as usize),
            walk.capacity as usize * 24,
        )
        .writer();
        for word in &found {
            writer.write(word)?;
        }
        walk.count = found.len() as u64 / 3;
        Ok(())
    }
}
