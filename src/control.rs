// SPDX-License-Identifier: GPL-2.0

//! The files under /sys/kernel/side and the list of loaded drivers behind them.
//!
//! Documentation/ABI/testing/sysfs-kernel-side says what each file means.

use crate::domain::Domain;
use crate::driver::Driver;
use crate::ledger;
use crate::lifecycle;
use crate::pages::Range;
use crate::side_stubs::contract::HEAP_SPACE;
use crate::side_stubs::rings::{self, OPTIMISATIONS};
use crate::side_stubs::{request, table};
use crate::supervisor;
use crate::sys::lock::BhLock;
use crate::sys::sysfs::{File, Folder, Page};
use core::fmt::Write;
use core::sync::atomic::{AtomicU64, Ordering};
use kernel::prelude::*;
use kernel::sync::Arc;

/// The least that `memory_max` may be set to: a megabyte.
const MEMORY_MAX_LEAST: u64 = 1 << 20;

/// One loaded driver as users see it.
struct Loaded {
    key: u64,
    driver: Arc<Driver>,
    /// The folder of the optimisations, and the driver's own, which must go later.
    folders: Option<(Folder, Folder)>,
}

static LOADED: BhLock<KVec<Loaded>> = BhLock::new(KVec::new());
static TOP: BhLock<Option<Arc<Folder>>> = BhLock::new(None);
static NEXT_KEY: AtomicU64 = AtomicU64::new(1);

static TOP_FILES: [File; 2] = [
    File::new(c"load", None, Some(store_load)),
    File::new(c"unload", None, Some(store_unload)),
];

static DRIVER_FILES: [File; 17] = [
    File::new(c"state", Some(show_state), None),
    File::new(c"mode", Some(show_mode), Some(store_mode)),
    File::new(c"params", Some(show_params), None),
    File::new(c"memory", Some(show_memory), None),
    File::new(c"memory_max", Some(show_memory_max), Some(store_memory_max)),
    File::secret(c"view", show_view),
    File::secret(c"sections", show_sections),
    File::new(c"crossings", Some(show_crossings), None),
    File::new(c"last_fault", Some(show_last_fault), None),
    File::new(c"budget_us", Some(show_budget), Some(store_budget)),
    File::new(c"recoveries", Some(show_recoveries), None),
    File::new(c"restart", None, Some(store_restart)),
    File::new(c"policy", Some(show_policy), Some(store_policy)),
    File::new(c"outage_us", Some(show_outage), None),
    File::new(c"ledger", Some(show_ledger), None),
    File::new(c"watchdogs", Some(show_watchdogs), Some(store_watchdogs)),
    File::new(c"inject", Some(show_inject), Some(store_inject)),
];

macro_rules! optimisation_files {
    ($($n:literal: $name:literal),* $(,)?) => {
        [$(File::new($name, Some(show_optimisation::<$n>), Some(store_optimisation::<$n>))),*]
    };
}

/// In the order of the bits.
static OPTIMISATION_FILES: [File; OPTIMISATIONS.len()] = optimisation_files![
    0: c"direct_entry",
    1: c"local_stubs",
    2: c"receive_pool",
    3: c"receive_batching",
    4: c"transmit_slots",
    5: c"deferred_completions",
    6: c"chains",
    7: c"transmit_gathering",
    8: c"interrupt_polls",
];

/// Makes /sys/kernel/side.
pub(crate) fn init() -> Result {
    let folder = Folder::new("side", None, 0, &TOP_FILES)?;
    *TOP.lock() = Some(Arc::new(folder, GFP_KERNEL)?);
    Ok(())
}

/// Takes /sys/kernel/side away. All drivers are unloaded already.
pub(crate) fn exit() {
    let folder = TOP.lock().take();
    drop(folder);
    // A static is never dropped: the list gives its room back here.
    let list = core::mem::take(&mut *LOADED.lock());
    drop(list);
}

/// Enters a driver called `name` in the list and makes its folder. Errors: EEXIST if one of its name
/// is loaded.
pub(crate) fn add(driver: &Arc<Driver>, name: &str) -> Result {
    let key = NEXT_KEY.fetch_add(1, Ordering::Relaxed);
    if find(name.as_bytes()).is_some() {
        return Err(EEXIST);
    }
    let entry = Loaded {
        key,
        driver: driver.clone(),
        folders: None,
    };
    LOADED
        .lock()
        .push(entry, kernel::alloc::flags::GFP_ATOMIC)?;
    let top = TOP.lock().clone();
    let folder = match Folder::new(name, top.as_deref(), key, &DRIVER_FILES) {
        Ok(folder) => folder,
        Err(error) => {
            remove(driver);
            return Err(error);
        }
    };
    let inner = match Folder::new("optimisations", Some(&folder), key, &OPTIMISATION_FILES) {
        Ok(inner) => inner,
        Err(error) => {
            remove(driver);
            return Err(error);
        }
    };
    for entry in LOADED.lock().iter_mut() {
        if entry.key == key {
            entry.folders = Some((inner, folder));
            break;
        }
    }
    Ok(())
}

/// Takes a driver off the list and its folder away; waits for readers of its files.
pub(crate) fn remove(driver: &Arc<Driver>) {
    let entry = {
        let mut loaded = LOADED.lock();
        let place = loaded
            .iter()
            .position(|entry| Arc::ptr_eq(&entry.driver, driver));
        place.and_then(|place| loaded.remove(place).ok())
    };
    // The folder goes outside the lock: that sleeps.
    drop(entry);
}

/// Any loaded driver, for unloading all.
pub(crate) fn any() -> Option<Arc<Driver>> {
    LOADED.lock().last().map(|entry| entry.driver.clone())
}

/// The loaded driver called `name`.
pub(crate) fn find(name: &[u8]) -> Option<Arc<Driver>> {
    let mut n = 0;
    loop {
        let driver = LOADED.lock().get(n)?.driver.clone();
        if driver
            .domain()
            .is_some_and(|domain| domain.name().as_bytes() == name)
        {
            return Some(driver);
        }
        n += 1;
    }
}

fn driver_by_key(key: u64) -> Result<Arc<Driver>> {
    let loaded = LOADED.lock();
    let entry = loaded.iter().find(|entry| entry.key == key).ok_or(ENODEV)?;
    Ok(entry.driver.clone())
}

/// The present domain of a driver, or its last one.
fn by_key(key: u64) -> Result<Arc<Domain>> {
    driver_by_key(key)?.domain().ok_or(ENODEV)
}

/// `load`: a request, and the driver's own parameters after it.
fn store_load(_: u64, text: &[u8]) -> Result {
    let (request, params) = request::split(text);
    lifecycle::load(request, params)
}

fn store_unload(_: u64, text: &[u8]) -> Result {
    lifecycle::unload(&find(text).ok_or(ENOENT)?)
}

fn written(result: core::fmt::Result) -> Result {
    result.map_err(|_| EIO)
}

fn show_state(key: u64, page: &mut Page<'_>) -> Result {
    written(writeln!(page, "{}", driver_by_key(key)?.state()))
}

fn show_recoveries(key: u64, page: &mut Page<'_>) -> Result {
    let count = &driver_by_key(key)?.recoveries;
    written(writeln!(page, "{}", count.load(Ordering::Relaxed)))
}

fn show_outage(key: u64, page: &mut Page<'_>) -> Result {
    let outage = &driver_by_key(key)?.outage;
    written(writeln!(page, "{}", outage.load(Ordering::Relaxed) / 1000))
}

/// Anything that is no path restarts the same file.
fn store_restart(key: u64, text: &[u8]) -> Result {
    let driver = driver_by_key(key)?;
    match text.first() {
        Some(b'/') => supervisor::restart(&driver, Some(text)),
        Some(_) => supervisor::restart(&driver, None),
        None => Err(EINVAL),
    }
}

fn show_policy(key: u64, page: &mut Page<'_>) -> Result {
    let driver = driver_by_key(key)?;
    let policy = driver.policy();
    written(writeln!(
        page,
        "failures {} window {} delay {} max {}",
        policy.failures, policy.window_ms, policy.delay_ms, policy.delay_max_ms
    ))?;
    written(writeln!(page, "recent {}", driver.recent_deaths()))
}

fn store_policy(key: u64, text: &[u8]) -> Result {
    let driver = driver_by_key(key)?;
    let text = core::str::from_utf8(text).map_err(|_| EINVAL)?;
    driver.set_policy(driver.policy().parse(text).ok_or(EINVAL)?);
    Ok(())
}

fn show_ledger(key: u64, page: &mut Page<'_>) -> Result {
    let domain = by_key(key)?;
    for line in ledger::lines(&domain) {
        written(writeln!(
            page,
            "{} {} {}",
            line.import, line.count, line.kind
        ))?;
    }
    Ok(())
}

fn show_watchdogs(key: u64, page: &mut Page<'_>) -> Result {
    let mut result = Ok(());
    driver_by_key(key)?.limits().each(|name, value| {
        if result.is_ok() {
            result = writeln!(page, "{name} {value}");
        }
    });
    written(result)
}

fn store_watchdogs(key: u64, text: &[u8]) -> Result {
    let driver = driver_by_key(key)?;
    let text = core::str::from_utf8(text).map_err(|_| EINVAL)?;
    driver.set_limits(driver.limits().parse(text).ok_or(EINVAL)?);
    Ok(())
}

fn show_inject(key: u64, page: &mut Page<'_>) -> Result {
    let armed = by_key(key)?.inject.is_armed();
    written(writeln!(page, "{}", if armed { "armed" } else { "none" }))
}

/// A name, and which crossing of that name is meant, the next one without a number.
fn store_inject(key: u64, text: &[u8]) -> Result {
    let text = core::str::from_utf8(text).map_err(|_| EINVAL)?;
    let mut words = text.split_ascii_whitespace();
    let name = words.next().ok_or(EINVAL)?;
    let count = words.next().map_or(Ok(1), str::parse);
    if words.next().is_some() {
        return Err(EINVAL);
    }
    by_key(key)?
        .inject
        .arm(name.as_bytes(), count.map_err(|_| EINVAL)?)
}

fn show_mode(key: u64, page: &mut Page<'_>) -> Result {
    let mode = match by_key(key)?.optimisations.load(Ordering::Relaxed) {
        0 => "base",
        rings::ALL => "optimised",
        _ => "mixed",
    };
    written(writeln!(page, "{mode}"))
}

fn store_mode(key: u64, text: &[u8]) -> Result {
    let flags = match text {
        b"base" => 0,
        b"optimised" => rings::ALL,
        _ => return Err(EINVAL),
    };
    switch(key, |_| flags)
}

/// Changes which optimisations are on, for this domain of the driver and the next ones. Each upcall
/// begins with what is on then.
fn switch(key: u64, change: impl Fn(u32) -> u32) -> Result {
    let driver = driver_by_key(key)?;
    let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
    let _ = driver
        .optimisations
        .fetch_update(set, get, |flags| Some(change(flags)));
    let flags = driver.optimisations.load(get);
    let domain = driver.domain().ok_or(ENODEV)?;
    domain.optimisations.store(flags, set);
    domain.net.enter_directly(domain.has(rings::DIRECT_ENTRY));
    domain.irq.enter_directly(domain.has(rings::DIRECT_ENTRY));
    Ok(())
}

fn show_optimisation<const N: usize>(key: u64, page: &mut Page<'_>) -> Result {
    let on = by_key(key)?.has(OPTIMISATIONS[N].bit);
    written(writeln!(page, "{}", u32::from(on)))
}

fn store_optimisation<const N: usize>(key: u64, text: &[u8]) -> Result {
    let bit = OPTIMISATIONS[N].bit;
    match text {
        b"0" => switch(key, |flags| flags & !bit),
        b"1" => switch(key, |flags| flags | bit),
        _ => Err(EINVAL),
    }
}

fn show_params(key: u64, page: &mut Page<'_>) -> Result {
    let domain = by_key(key)?;
    let text = core::str::from_utf8(&domain.image.params).unwrap_or("");
    written(writeln!(page, "{text}"))
}

fn show_memory(key: u64, page: &mut Page<'_>) -> Result {
    let domain = by_key(key)?;
    let usage = domain.memory.usage();
    written(writeln!(page, "image {}", domain.image.size()))?;
    written(writeln!(page, "fixed {}", usage.fixed))?;
    written(writeln!(page, "heap {}", usage.heap))?;
    written(writeln!(page, "heap_live {}", usage.heap_live))?;
    written(writeln!(page, "coherent {}", usage.coherent))?;
    written(writeln!(page, "stacks {}", usage.stacks))?;
    written(writeln!(
        page,
        "total {}",
        usage.fixed + usage.heap + usage.coherent + usage.stacks
    ))
}

fn show_memory_max(key: u64, page: &mut Page<'_>) -> Result {
    written(writeln!(page, "{}", by_key(key)?.memory.limit()))
}

/// A number of bytes.
fn store_memory_max(key: u64, text: &[u8]) -> Result {
    let domain = by_key(key)?;
    let text = core::str::from_utf8(text).map_err(|_| EINVAL)?;
    let bytes: u64 = text.parse().map_err(|_| EINVAL)?;
    if !(MEMORY_MAX_LEAST..=HEAP_SPACE).contains(&bytes) {
        return Err(ERANGE);
    }
    domain.memory.set_limit(bytes);
    Ok(())
}

fn show_crossings(key: u64, page: &mut Page<'_>) -> Result {
    let domain = by_key(key)?;
    let mut result = Ok(());
    domain.upcalls.each(|name, count| {
        if result.is_ok() {
            result = writeln!(page, "upcall {name} {count}");
        }
    });
    written(result)?;
    for (index, count) in domain.crossings.iter().enumerate() {
        let count = count.load(Ordering::Relaxed);
        if let (Some(import), true) = (table::get(index), count > 0) {
            written(writeln!(page, "import {} {}", import.name, count))?;
        }
    }
    Ok(())
}

fn show_last_fault(key: u64, page: &mut Page<'_>) -> Result {
    written(match driver_by_key(key)?.fault() {
        Some(fault) => {
            let import = fault.import.unwrap_or("-");
            writeln!(
                page,
                "{} upcall={} import={import} value={:#x}",
                fault.rule, fault.upcall, fault.value
            )
        }
        None => writeln!(page, "none"),
    })
}

/// Every present entry of the view's roots, in ranges. The user half, which all CPUs share, is
/// listed for the first; what does not fit into the page is said to be missing.
fn show_sections(key: u64, page: &mut Page<'_>) -> Result {
    let mut result = Ok(());
    by_key(key)?.image.each_part(&mut |base, _, sections| {
        if result.is_ok() {
            result = writeln!(page, "{base:#x}").and_then(|()| sections(page));
        }
    });
    written(result)
}

fn show_view(key: u64, page: &mut Page<'_>) -> Result {
    let domain = by_key(key)?;
    let view = domain.memory.view();
    let mut first = true;
    let mut result = Ok(());
    for cpu in 0..crate::sys::cpu::possible() {
        if view.root(cpu).is_none() {
            continue;
        }
        let (mut user, mut text) = (0, 0);
        let odd = view.ranges(cpu, &mut |range| {
            let bytes = range.end.wrapping_sub(range.start);
            if range.user {
                user += bytes;
                text += if range.execute { bytes } else { 0 };
            }
            if (!range.user || first) && result.is_ok() {
                result = show_range(page, cpu, range);
            }
        });
        if result.is_ok() {
            result = writeln!(
                page,
                "{cpu} user {} text {} odd {odd}",
                user / 1024,
                text / 1024
            );
        }
        first = false;
    }
    written(result)
}

fn show_range(page: &mut Page<'_>, cpu: usize, range: &Range) -> core::fmt::Result {
    let letter = |on, letter| if on { letter } else { '-' };
    writeln!(
        page,
        "{cpu} {:x}-{:x} r{}{}{}{} {}",
        range.start,
        range.end,
        letter(range.write, 'w'),
        letter(range.execute, 'x'),
        letter(range.user, 'u'),
        letter(range.kernel_executes, '!'),
        match (range.user, range.mmio) {
            (false, _) => range.what,
            (true, true) => "mmio",
            (true, false) => "ram",
        },
    )
}

fn show_budget(key: u64, page: &mut Page<'_>) -> Result {
    let domain = by_key(key)?;
    let [process, atomic] = &domain.budget;
    let (process, atomic) = (
        process.load(Ordering::Relaxed),
        atomic.load(Ordering::Relaxed),
    );
    written(writeln!(page, "{} {}", process / 1000, atomic / 1000))
}

/// Two numbers: microseconds of ring 3 an upcall in process context, in atomic context.
fn store_budget(key: u64, text: &[u8]) -> Result {
    let domain = by_key(key)?;
    let text = core::str::from_utf8(text).map_err(|_| EINVAL)?;
    let mut numbers = text.split_ascii_whitespace().map(str::parse::<u64>);
    let (Some(Ok(process)), Some(Ok(atomic)), None) =
        (numbers.next(), numbers.next(), numbers.next())
    else {
        return Err(EINVAL);
    };
    if !(100..=60_000_000).contains(&process) || !(100..=60_000_000).contains(&atomic) {
        return Err(ERANGE);
    }
    domain.budget[0].store(process * 1000, Ordering::Relaxed);
    domain.budget[1].store(atomic * 1000, Ordering::Relaxed);
    Ok(())
}
