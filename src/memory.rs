// SPDX-License-Identifier: GPL-2.0

//! The memory of a domain: its view, the fixed regions of the contract, heap, stacks and register
//! windows, and the checked ways to reach them.

use crate::fault_handler::watch::Share;
use crate::heap::{BadFree, Heap};
use crate::pages::{Kind, Mapping, Perm, View};
use crate::side_stubs::arguments::{self, Claims, Use};
use crate::side_stubs::contract::*;
use crate::side_stubs::rings::{IOVA_PAGES, IOVA_SLOTS, POOL_ENTRIES};
use crate::sys::access::{
    self, bytes_of, bytes_of_mut, quietly, zeroed, Fault, Pages, Parts, Plain, SharedWord, Window,
    PAGE,
};
use crate::sys::{cpu, lock::BhLock, once::SetOnce};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use kernel::alloc::flags::GFP_ATOMIC;
use kernel::prelude::*;

/// The kernel's hold on one CPU's virtual state; see the contract for the meaning of each word.
pub(crate) struct VirtualCpu {
    /// Which CPU it is of.
    pub(crate) number: usize,
    pub(crate) preempt_count: SharedWord,
    pub(crate) irq_disabled: SharedWord,
    pub(crate) pending: SharedWord,
    /// Which local answers the running upcall may use.
    pub(crate) local: SharedWord,
    /// Calls in the ring of deferred calls.
    pub(crate) ring_count: SharedWord,
    /// How many buffers each of its two pools has, as the driver says, and their places.
    pub(crate) pools: [(SharedWord, Parts<8>); 2],
    /// Where the calls of the running upcall begin in the ring, behind those that the kernel has
    /// not carried out yet when an upcall begins inside another one's drain.
    pub(crate) ring_base: AtomicU64,
    /// The shadow of the network device in whose poll this CPU is, or 0.
    pub(crate) polled: AtomicU64,
    /// The NAPI instance that was scheduled last on this CPU, by its handle, or 0.
    pub(crate) scheduled: AtomicU64,
    /// A stack that atomic upcalls on this CPU use one after the other, once there is one, with its window.
    home: SetOnce<(u16, Window)>,
    /// It is not in use.
    at_home: AtomicBool,
    /// What timer functions take of this CPU's time.
    pub(crate) timers: BhLock<Share>,
    /// The whole area: the ring and the pools.
    pub(crate) window: Window,
    /// `softnet_data`'s word that holds `xmit.more`.
    area: SharedWord,
}

struct Stacks {
    free: KVec<u16>,
    made: KVec<(Pages, Window)>,
}

struct Registers {
    base: u64,
    phys: u64,
    len: u64,
    live: bool,
}

/// Pages of the library's own that ring 3 only reads.
struct Tables {
    control: Window,
    iova_table: Window,
    iova_set: Window,
}

/// The memory of a domain. Dropping it takes the view down first, then gives the pages back.
pub(crate) struct Memory {
    view: View,
    cpus: KVec<Option<VirtualCpu>>,
    jiffies: SetOnce<SharedWord>,
    heap: BhLock<Heap>,
    stacks: BhLock<Stacks>,
    windows: BhLock<KVec<Registers>>,
    /// Address ranges for pages that are not the heap's own, free for use again.
    foreign: BhLock<KVec<(u64, u64)>>,
    regions: BhLock<KVec<Pages>>,
    fixed: AtomicU64,
    tables: Option<Tables>,
}

impl Memory {
    /// Makes the view with the per-CPU areas in place and nothing else.
    pub(crate) fn new(stack_guard: u64) -> Result<Self> {
        let mut memory = Memory {
            view: View::new()?,
            cpus: KVec::new(),
            jiffies: SetOnce::new(),
            heap: BhLock::new(Heap::new()),
            stacks: BhLock::new(Stacks {
                free: KVec::new(),
                made: KVec::new(),
            }),
            windows: BhLock::new(KVec::new()),
            foreign: BhLock::new(KVec::new()),
            regions: BhLock::new(KVec::new()),
            fixed: AtomicU64::new(0),
            tables: None,
        };
        memory.tables = Some(Tables {
            control: memory.read_only(CONTROL_BASE, PAGE)?,
            iova_table: memory.read_only(IOVA_TABLE, IOVA_PAGES * 8)?,
            iova_set: memory.read_only(IOVA_SET, IOVA_SLOTS * 8)?,
        });
        for n in 0..cpu::possible() {
            let area = match cpu::is_possible(n) && n < VCPU_MAX {
                true => Some(memory.new_cpu(n as u64, stack_guard)?),
                false => None,
            };
            memory.cpus.push(area, GFP_KERNEL)?;
        }
        Ok(memory)
    }

    fn new_cpu(&self, n: u64, stack_guard: u64) -> Result<VirtualCpu> {
        let pages = Pages::new((VCPU_SIZE / PAGE).trailing_zeros())?;
        let gs = n * VCPU_STRIDE;
        let pool = |class: usize| -> Result<_> {
            let count = SharedWord::new(&pages, VCPU_POOL_COUNT[class])?;
            let places = Window::new(&pages).parts(VCPU_POOL[class], POOL_ENTRIES);
            Ok((count, places.map_err(|_| EINVAL)?))
        };
        let cpu = VirtualCpu {
            number: n as usize,
            preempt_count: SharedWord::new(&pages, VCPU_PREEMPT_COUNT)?,
            irq_disabled: SharedWord::new(&pages, VCPU_IRQ_DISABLED)?,
            pending: SharedWord::new(&pages, VCPU_PENDING)?,
            local: SharedWord::new(&pages, VCPU_LOCAL)?,
            ring_count: SharedWord::new(&pages, VCPU_RING_COUNT)?,
            pools: [pool(0)?, pool(1)?],
            ring_base: AtomicU64::new(0),
            polled: AtomicU64::new(0),
            scheduled: AtomicU64::new(0),
            home: SetOnce::new(),
            at_home: AtomicBool::new(false),
            timers: BhLock::new(Share::default()),
            window: Window::new(&pages),
            area: SharedWord::new(&pages, VCPU_SOFTNET_DATA)?,
        };
        cpu.preempt_count.set(PREEMPT_COUNT_IDLE);
        SharedWord::new(&pages, VCPU_CPU_NUMBER)?.set(n);
        SharedWord::new(&pages, VCPU_THIS_CPU_OFF)?.set(gs);
        SharedWord::new(&pages, VCPU_STACK_GUARD)?.set(stack_guard);
        for offset in (0..VCPU_SIZE).step_by(PAGE as usize) {
            let (va, phys) = (VCPU_BASE + gs + offset, pages.phys() + offset);
            self.view.map(va, phys, Perm::ReadWrite, Kind::Ram)?;
        }
        self.keep(pages)?;
        Ok(cpu)
    }

    /// Maps at least `len` zeroed bytes at `base` that ring 3 only reads.
    fn read_only(&self, base: u64, len: u64) -> Result<Window> {
        let pages = Pages::new(len.div_ceil(PAGE).next_power_of_two().trailing_zeros())?;
        for offset in (0..len).step_by(PAGE as usize) {
            let phys = pages.phys() + offset;
            self.view.map(base + offset, phys, Perm::Read, Kind::Ram)?;
        }
        let window = Window::new(&pages);
        self.keep(pages)?;
        Ok(window)
    }

    /// Sets word `n` of the control page.
    pub(crate) fn set_control(&self, offset: u64, value: u64) {
        if let Some(tables) = &self.tables {
            tables.control.set_word(offset, value);
        }
    }

    /// The word at `offset` of the control page, which the driver cannot change.
    pub(crate) fn control(&self, offset: u64) -> u64 {
        self.tables.as_ref().map_or(0, |t| t.control.word(offset))
    }

    /// The table of bus addresses and the set of them.
    pub(crate) fn iova(&self) -> Option<(Window, Window)> {
        self.tables.as_ref().map(|t| (t.iova_table, t.iova_set))
    }

    /// The kernel's own way to `len` bytes of the heap at `address`, which belong to an object that
    /// is not freed while the window is used.
    pub(crate) fn window(&self, address: u64, len: u64) -> Option<Window> {
        // The heap unmaps nothing before the domain ends.
        let heap = HEAP_BASE..HEAP_BASE + HEAP_SPACE;
        if !heap.contains(&address) {
            return None;
        }
        Window::of(&self.view, address, len)
    }

    fn keep(&self, pages: Pages) -> Result {
        self.fixed.fetch_add(pages.len(), Ordering::Relaxed);
        self.regions.lock().push(pages, quietly())?;
        Ok(())
    }

    /// The view, for the switcher.
    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// The virtual state of CPU `n`.
    pub(crate) fn cpu(&self, n: usize) -> Option<&VirtualCpu> {
        self.cpus.get(n)?.as_ref()
    }

    /// Maps fresh pages at `base` with `perm` and `contents` in them, zero after that. For the
    /// loader; `base` must be page-aligned.
    pub(crate) fn region(&self, base: u64, len: u64, perm: Perm, contents: &[u8]) -> Result {
        for offset in (0..len).step_by(PAGE as usize) {
            let pages = Pages::new(0)?;
            let start = core::cmp::min(offset as usize, contents.len());
            let end = core::cmp::min(start + PAGE as usize, contents.len());
            access::write_pages(&pages, 0, &contents[start..end])?;
            self.view
                .map(base + offset, pages.phys(), perm, Kind::Ram)?;
            self.keep(pages)?;
        }
        Ok(())
    }

    /// Remembers the word at `address` of the data region as the domain's `jiffies`.
    pub(crate) fn set_jiffies_word(&self, pages: &Pages, offset: u64) -> Result {
        self.jiffies.populate(SharedWord::new(pages, offset)?);
        Ok(())
    }

    /// As [`Memory::region`] for one page, which the caller may look into before it is kept.
    pub(crate) fn data_page(&self, base: u64, contents: &[u8], jiffies: Option<u64>) -> Result {
        let pages = Pages::new(0)?;
        access::write_pages(&pages, 0, contents)?;
        if let Some(offset) = jiffies {
            self.set_jiffies_word(&pages, offset)?;
        }
        self.view
            .map(base, pages.phys(), Perm::ReadWrite, Kind::Ram)?;
        self.keep(pages)
    }

    /// The word that is the domain's `jiffies`, if the driver imports it.
    pub(crate) fn jiffies_word(&self) -> Option<SharedWord> {
        self.jiffies.copy()
    }

    /// Copies memory of the domain into `buffer`.
    pub(crate) fn read_bytes(&self, address: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        access::read(&self.view, address, buffer)
    }

    /// Copies `bytes` into memory of the domain.
    pub(crate) fn write_bytes(&self, address: u64, bytes: &[u8]) -> Result<(), Fault> {
        access::write(&self.view, address, bytes)
    }

    /// Fills memory of the domain.
    pub(crate) fn fill(&self, address: u64, value: u8, len: usize) -> Result<(), Fault> {
        access::fill(&self.view, address, value, len)
    }

    /// Reads a value of the domain once.
    pub(crate) fn read<T: Plain>(&self, address: u64) -> Result<T, Fault> {
        let mut value: T = zeroed();
        self.read_bytes(address, bytes_of_mut(&mut value))?;
        Ok(value)
    }

    /// Writes a value into the domain.
    pub(crate) fn write<T: Plain>(&self, address: u64, value: T) -> Result<(), Fault> {
        self.write_bytes(address, bytes_of(&value))
    }

    /// Reads the string at `address` into `buffer` and returns it without its NUL; a longer string
    /// is cut at the buffer's end.
    pub(crate) fn read_str<'b>(
        &self,
        address: u64,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Fault> {
        let mut len = 0;
        while len < buffer.len() {
            let at = address.checked_add(len as u64).ok_or(Fault(address))?;
            let part = core::cmp::min(buffer.len() - len, (PAGE - at % PAGE) as usize);
            self.read_bytes(at, &mut buffer[len..len + part])?;
            if let Some(end) = buffer[len..len + part].iter().position(|&byte| byte == 0) {
                len += end;
                break;
            }
            len += part;
        }
        Ok(&buffer[..len])
    }

    /// Whether all of `[address, address + len)` is the domain's own memory, writable if asked.
    pub(crate) fn check(&self, address: u64, len: u64, write: bool) -> Result<(), Fault> {
        arguments::range(self, address, len, write).map_err(Fault)
    }

    /// Whether `address` is mapped as text.
    pub(crate) fn is_text(&self, address: u64) -> bool {
        matches!(self.view.translate(address), Some(m) if m.perm == Perm::ReadExecute)
    }

    /// The physical address of `[address, address + len)` if that is contiguous writable memory of
    /// the domain, as DMA needs it, which stays until the domain ends: not coherent memory.
    pub(crate) fn contiguous(&self, address: u64, len: u64) -> Result<u64, Fault> {
        self.check(address, core::cmp::max(len, 1), true)?;
        let is_heap = |mapping: &Mapping| mapping.kind == Kind::Ram;
        let first = self.view.translate(address).filter(is_heap);
        let start = first.ok_or(Fault(address))?.phys;
        let mut at = (address / PAGE + 1) * PAGE;
        while at < address + len {
            match self.view.translate(at).filter(is_heap) {
                Some(mapping) if mapping.phys == start + (at - address) => {}
                _ => return Err(Fault(at)),
            }
            at += PAGE;
        }
        Ok(start)
    }

    /// Allocates physically contiguous memory; see [`Heap::alloc`]. Contents are zeroed.
    pub(crate) fn alloc(&self, bytes: u64) -> Result<u64> {
        let address = self.heap.lock().alloc(&self.view, bytes)?;
        self.fill(address, 0, bytes as usize).map_err(|_| EFAULT)?;
        Ok(address)
    }

    /// As [`Memory::alloc`] without clearing what an earlier object left.
    pub(crate) fn alloc_dirty(&self, bytes: u64) -> Result<u64> {
        self.heap.lock().alloc(&self.view, bytes)
    }

    /// Allocates virtually contiguous zeroed memory.
    pub(crate) fn alloc_virtual(&self, bytes: u64) -> Result<u64> {
        let address = self.heap.lock().alloc_virtual(&self.view, bytes)?;
        self.fill(address, 0, bytes as usize).map_err(|_| EFAULT)?;
        Ok(address)
    }

    /// Allocates `2^order` pages with their `struct page`s in place and referenced once. Returns
    /// the address of the data.
    pub(crate) fn alloc_pages(&self, order: u32) -> Result<u64> {
        let address = self.heap.lock().alloc_pages(&self.view, order)?;
        for n in 0..1u64 << order {
            let page = address_to_page(address + n * PAGE);
            if self.view.translate(page).is_none() {
                let backing = Pages::new(0)?;
                let (place, phys) = (page / PAGE * PAGE, backing.phys());
                // Kept first: a page that is mapped is not given back.
                self.keep(backing)?;
                match self.view.map(place, phys, Perm::ReadWrite, Kind::Ram) {
                    // Another CPU was first.
                    Err(error) if error == EEXIST => {}
                    other => other?,
                }
            }
            self.fill(page, 0, STRUCT_PAGE_SIZE as usize)
                .map_err(|_| EFAULT)?;
            // `_refcount` of include/linux/mm_types.h.
            self.write(page + PAGE_REFCOUNT, 1u32).map_err(|_| EFAULT)?;
        }
        Ok(address)
    }

    /// Frees the heap object that begins at `address`.
    pub(crate) fn free(&self, address: u64) -> Result<(), BadFree> {
        self.heap.lock().free(address)
    }

    /// The heap object that holds `address`: its start and size.
    pub(crate) fn object(&self, address: u64) -> Option<(u64, u64)> {
        self.heap.lock().find(address)
    }

    /// Whether `address` lies in memory that is contiguous for the driver only.
    pub(crate) fn is_virtual(&self, address: u64) -> bool {
        self.heap.lock().is_virtual(address)
    }

    /// The most that heap and coherent memory may hold together, in bytes.
    pub(crate) fn limit(&self) -> u64 {
        self.heap.lock().limit()
    }

    /// Sets that limit; an allocation beyond it fails as one without memory does.
    pub(crate) fn set_limit(&self, bytes: u64) {
        self.heap.lock().set_limit(bytes);
    }

    /// Bytes held: fixed regions, heap (held, live), stacks.
    pub(crate) fn usage(&self) -> Usage {
        let (heap, heap_live, coherent) = {
            let heap = self.heap.lock();
            let (held, live) = heap.usage();
            (held, live, heap.foreign())
        };
        Usage {
            fixed: self.fixed.load(Ordering::Relaxed),
            heap,
            heap_live,
            coherent,
            stacks: self.stacks.lock().made.len() as u64 * STACK_SIZE,
        }
    }

    /// Takes a stack for an upcall, with the return address `to` in its place near the top. Returns
    /// its number and the address above its top. `here` is the running CPU, if bottom halves are off until
    /// the stack is given back.
    #[inline(always)]
    pub(crate) fn stack(&self, here: Option<&VirtualCpu>, to: u64) -> Result<(u16, u64)> {
        if let Some(cpu) = here {
            if cpu.at_home.load(Ordering::Relaxed) {
                if let Some((n, window)) = cpu.home.copy() {
                    cpu.at_home.store(false, Ordering::Relaxed);
                    window.set_word(STACK_SIZE - STACK_RETURN, to);
                    return Ok((n, stack_top(n)));
                }
            }
        }
        self.common_stack(to)
    }

    /// A stack that is no CPU's own.
    #[inline(never)]
    fn common_stack(&self, to: u64) -> Result<(u16, u64)> {
        let mut stacks = self.stacks.lock();
        if let Some(n) = stacks.free.pop() {
            if let Some((_, window)) = stacks.made.get(usize::from(n)) {
                window.set_word(STACK_SIZE - STACK_RETURN, to);
            }
            return Ok((n, stack_top(n)));
        }
        let n = stacks.made.len();
        if n >= STACK_COUNT {
            return Err(EBUSY);
        }
        // Nothing fails once the pages are mapped: they would be free and the driver's at a time.
        stacks.made.reserve(1, GFP_ATOMIC)?;
        stacks.free.reserve(STACK_COUNT, GFP_ATOMIC)?;
        let pages = Pages::new(2)?;
        let top = stack_top(n as u16);
        self.view.prepare(top - STACK_SIZE, STACK_SIZE)?;
        for offset in (0..STACK_SIZE).step_by(PAGE as usize) {
            let va = top - STACK_SIZE + offset;
            self.view
                .map(va, pages.phys() + offset, Perm::ReadWrite, Kind::Ram)?;
        }
        let window = Window::new(&pages);
        window.set_word(STACK_SIZE - STACK_RETURN, to);
        // Room was made.
        let _ = stacks.made.push((pages, window), GFP_ATOMIC);
        Ok((n as u16, top))
    }

    /// Gives back a stack that was taken with the same `here`.
    #[inline(always)]
    pub(crate) fn unstack(&self, here: Option<&VirtualCpu>, n: u16) {
        if let Some(cpu) = here {
            let home = cpu.home.as_ref().is_some_and(|(home, _)| *home == n);
            if home || (cpu.home.as_ref().is_none() && self.settle_stack(cpu, n)) {
                cpu.at_home.store(true, Ordering::Relaxed);
                return;
            }
        }
        // Room was reserved when the stack was made.
        let _ = self.stacks.lock().free.push(n, GFP_ATOMIC);
    }

    /// Makes stack `n` the one of `cpu`.
    #[cold]
    fn settle_stack(&self, cpu: &VirtualCpu, n: u16) -> bool {
        let window = self
            .stacks
            .lock()
            .made
            .get(usize::from(n))
            .map(|made| made.1);
        window.is_some_and(|window| cpu.home.populate((n, window)))
    }

    /// Maps `len` bytes of device registers at `phys` (both page-aligned) uncached and returns
    /// their address. The caller has checked that they are the device's own. A window that was
    /// unmapped is used again if it is the same one. Pages for which `hidden` says so stay holes.
    pub(crate) fn map_registers(
        &self,
        phys: u64,
        len: u64,
        hidden: impl Fn(u64) -> bool,
    ) -> Result<u64> {
        let mut windows = self.windows.lock();
        let mut next = MMIO_BASE;
        for window in windows.iter() {
            next = core::cmp::max(next, window.base + window.len + PAGE);
        }
        let old = windows
            .iter()
            .position(|w| !w.live && w.phys == phys && w.len == len);
        let base = match old {
            Some(n) => windows[n].base,
            None => next,
        };
        if len > MMIO_SPACE || base + len > MMIO_BASE + MMIO_SPACE {
            return Err(ENOMEM);
        }
        // Nothing fails once a page is mapped, which nobody would take away.
        windows.reserve(1, quietly())?;
        self.view.prepare(base, len)?;
        for offset in (0..len).step_by(PAGE as usize) {
            if !hidden(phys + offset) {
                self.view
                    .map(base + offset, phys + offset, Perm::ReadWrite, Kind::Mmio)?;
            }
        }
        match old {
            Some(n) => windows[n].live = true,
            None => {
                let window = Registers {
                    base,
                    phys,
                    len,
                    live: true,
                };
                // Room was made.
                let _ = windows.push(window, quietly());
            }
        }
        Ok(base)
    }

    /// Takes the register window at `base` away. Returns whether there was one.
    pub(crate) fn unmap_registers(&self, base: u64) -> bool {
        let mut windows = self.windows.lock();
        let Some(n) = windows.iter().position(|w| w.live && w.base == base) else {
            return false;
        };
        windows[n].live = false;
        for offset in (0..windows[n].len).step_by(PAGE as usize) {
            self.view.unmap(base + offset);
        }
        true
    }

    /// Puts memory of all ones in the place of the register window at `base`: what a device that
    /// is gone reads as.
    pub(crate) fn vanish_registers(&self, base: u64) {
        let windows = self.windows.lock();
        let Some(window) = windows.iter().find(|w| w.live && w.base == base) else {
            return;
        };
        let ghost = Pages::new(0).and_then(|page| {
            access::write_pages(&page, 0, &[0xff; PAGE as usize / 2])?;
            access::write_pages(&page, PAGE as usize / 2, &[0xff; PAGE as usize / 2])?;
            let phys = page.phys();
            self.keep(page)?;
            Ok(phys)
        });
        for offset in (0..window.len).step_by(PAGE as usize) {
            self.view.unmap(base + offset);
            if let Ok(phys) = ghost {
                // A page that fails to map is a fault of the driver's when it touches it.
                let _ = self
                    .view
                    .map(base + offset, phys, Perm::ReadWrite, Kind::Ram);
            }
        }
    }

    /// Maps `len` bytes of RAM that does not belong to the heap, page by page as `phys` tells, at
    /// heap addresses. The caller owns the pages and unmaps them before it gives them back.
    pub(crate) fn map_foreign(&self, len: u64, phys: impl Fn(u64) -> u64) -> Result<u64> {
        self.heap.lock().charge(len)?;
        let spare = {
            let mut spare = self.foreign.lock();
            let fit = spare.iter().position(|(_, size)| *size == len);
            fit.and_then(|n| spare.remove(n).ok())
        };
        let base = match spare {
            Some((base, _)) => base,
            None => {
                let mut heap = self.heap.lock();
                match heap.reserve_foreign(len) {
                    Ok(base) => base,
                    Err(error) => {
                        heap.uncharge(len);
                        return Err(error);
                    }
                }
            }
        };
        for offset in (0..len).step_by(PAGE as usize) {
            if let Err(error) =
                self.view
                    .map(base + offset, phys(offset), Perm::ReadWrite, Kind::Coherent)
            {
                self.unmap_foreign(base, len);
                return Err(error);
            }
        }
        Ok(base)
    }

    /// Undoes a [`Memory::map_foreign`].
    pub(crate) fn unmap_foreign(&self, base: u64, len: u64) {
        for offset in (0..len).step_by(PAGE as usize) {
            self.view.unmap(base + offset);
        }
        self.heap.lock().uncharge(len);
        // Without memory for the list the addresses are not used again.
        let _ = self.foreign.lock().push((base, len), quietly());
    }

    /// Returns when nobody uses what was unmapped before the call. Process context.
    pub(crate) fn settle(&self) {
        access::settle(&self.view);
    }

    /// Sets `xmit.more` of CPU `n`, which the driver's transmit function reads.
    pub(crate) fn set_xmit_more(&self, n: usize, more: bool) {
        // `softnet_data` is at a fixed place; the byte is at 0x7a in it, inside this word.
        if let Some(cpu) = self.cpu(n) {
            cpu.area
                .at(XMIT_MORE_WORD)
                .set(u64::from(more) << XMIT_MORE_SHIFT);
        }
    }
}

impl Claims for Memory {
    fn page(&self, address: u64) -> Option<Use> {
        let mapping = self.view.translate(address)?;
        match (mapping.kind, mapping.perm) {
            (Kind::Mmio, _) => None,
            (_, Perm::Read) => Some(Use::Read),
            (_, Perm::ReadWrite) => Some(Use::Write),
            (_, Perm::ReadExecute) => Some(Use::Execute),
        }
    }
}

/// Offset of `_refcount` in `struct page`.
const PAGE_REFCOUNT: u64 = crate::sys::layout::PAGE_REFCOUNT;
/// The word of `softnet_data` that holds the byte `xmit.more`, and its place in it.
const XMIT_MORE_WORD: u64 = crate::sys::layout::XMIT_MORE / 8 * 8;
const XMIT_MORE_SHIFT: u64 = crate::sys::layout::XMIT_MORE % 8 * 8;

/// How far below a stack's top its first return address lies: as after a call, 8 below a multiple
/// of 16.
pub(crate) const STACK_RETURN: u64 = 24;

fn stack_top(n: u16) -> u64 {
    STACK_BASE + (u64::from(n) + 1) * STACK_STRIDE
}

/// Memory that a domain holds, in bytes.
pub(crate) struct Usage {
    pub(crate) fixed: u64,
    pub(crate) heap: u64,
    pub(crate) heap_live: u64,
    pub(crate) coherent: u64,
    pub(crate) stacks: u64,
}
