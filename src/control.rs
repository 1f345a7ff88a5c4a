// SPDX-License-Identifier: GPL-2.0

//! The files under /sys/kernel/side and the list of loaded drivers behind them.
//!
//! Documentation/ABI/testing/sysfs-kernel-side says what each file means.

use crate::domain::Domain;
use crate::lifecycle;
use crate::side_stubs::table;
use crate::sys::lock::BhLock;
use crate::sys::sysfs::{File, Folder, Page};
use core::fmt::Write;
use core::sync::atomic::{AtomicU64, Ordering};
use kernel::prelude::*;
use kernel::sync::Arc;

/// One loaded driver as users see it.
struct Loaded {
    key: u64,
    domain: Arc<Domain>,
    folder: Option<Folder>,
}

static LOADED: BhLock<KVec<Loaded>> = BhLock::new(KVec::new());
static TOP: BhLock<Option<Arc<Folder>>> = BhLock::new(None);
static NEXT_KEY: AtomicU64 = AtomicU64::new(1);

static TOP_FILES: [File; 2] = [
    File::new(c"load", None, Some(store_load)),
    File::new(c"unload", None, Some(store_unload)),
];

static DRIVER_FILES: [File; 7] = [
    File::new(c"state", Some(show_state), None),
    File::new(c"mode", Some(show_mode), Some(store_mode)),
    File::new(c"params", Some(show_params), None),
    File::new(c"memory", Some(show_memory), None),
    File::new(c"crossings", Some(show_crossings), None),
    File::new(c"last_fault", Some(show_last_fault), None),
    File::new(c"budget_us", Some(show_budget), Some(store_budget)),
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
}

/// Enters a driver in the list and makes its folder. Errors: EEXIST if one of its name is loaded.
pub(crate) fn add(domain: &Arc<Domain>) -> Result {
    let key = NEXT_KEY.fetch_add(1, Ordering::Relaxed);
    {
        let mut loaded = LOADED.lock();
        if loaded
            .iter()
            .any(|entry| entry.domain.name() == domain.name())
        {
            return Err(EEXIST);
        }
        let entry = Loaded {
            key,
            domain: domain.clone(),
            folder: None,
        };
        loaded.push(entry, kernel::alloc::flags::GFP_ATOMIC)?;
    }
    let top = TOP.lock().clone();
    let folder = match Folder::new(domain.name(), top.as_deref(), key, &DRIVER_FILES) {
        Ok(folder) => folder,
        Err(error) => {
            remove(domain);
            return Err(error);
        }
    };
    for entry in LOADED.lock().iter_mut() {
        if entry.key == key {
            entry.folder = Some(folder);
            break;
        }
    }
    Ok(())
}

/// Takes a driver off the list and its folder away; waits for readers of its files.
pub(crate) fn remove(domain: &Arc<Domain>) {
    let entry = {
        let mut loaded = LOADED.lock();
        let place = loaded
            .iter()
            .position(|entry| Arc::ptr_eq(&entry.domain, domain));
        place.and_then(|place| loaded.remove(place).ok())
    };
    // The folder goes outside the lock: that sleeps.
    drop(entry);
}

/// Any loaded driver, for unloading all.
pub(crate) fn any() -> Option<Arc<Domain>> {
    LOADED.lock().last().map(|entry| entry.domain.clone())
}

/// The loaded driver called `name`.
pub(crate) fn find(name: &[u8]) -> Option<Arc<Domain>> {
    let loaded = LOADED.lock();
    let entry = loaded
        .iter()
        .find(|entry| entry.domain.name().as_bytes() == name)?;
    Some(entry.domain.clone())
}

fn by_key(key: u64) -> Result<Arc<Domain>> {
    let loaded = LOADED.lock();
    let entry = loaded.iter().find(|entry| entry.key == key).ok_or(ENODEV)?;
    Ok(entry.domain.clone())
}

/// `load`: a path, and the driver's own parameters after it.
fn store_load(_: u64, text: &[u8]) -> Result {
    let (path, params) = match text.iter().position(|byte| *byte == b' ') {
        Some(space) => (&text[..space], text[space + 1..].trim_ascii()),
        None => (text, &text[..0]),
    };
    lifecycle::load(path, params)
}

fn store_unload(_: u64, text: &[u8]) -> Result {
    lifecycle::unload(&find(text).ok_or(ENOENT)?)
}

fn written(result: core::fmt::Result) -> Result {
    result.map_err(|_| EIO)
}

fn show_state(key: u64, page: &mut Page<'_>) -> Result {
    let domain = by_key(key)?;
    let state = if domain.is_dead() {
        "failed"
    } else if domain.is_stopping() {
        "stopping"
    } else {
        "running"
    };
    written(writeln!(page, "{state}"))
}

fn show_mode(key: u64, page: &mut Page<'_>) -> Result {
    by_key(key)?;
    written(writeln!(page, "base"))
}

fn store_mode(key: u64, text: &[u8]) -> Result {
    by_key(key)?;
    match text {
        b"base" => Ok(()),
        b"optimised" => Err(EOPNOTSUPP),
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
    written(writeln!(page, "image {}", domain.image.size))?;
    written(writeln!(page, "fixed {}", usage.fixed))?;
    written(writeln!(page, "heap {}", usage.heap))?;
    written(writeln!(page, "heap_live {}", usage.heap_live))?;
    written(writeln!(page, "stacks {}", usage.stacks))?;
    written(writeln!(
        page,
        "total {}",
        usage.fixed + usage.heap + usage.stacks
    ))
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
    let domain = by_key(key)?;
    written(domain.with_cause(|death| match death {
        Some(death) => {
            let import = death.import.unwrap_or("-");
            writeln!(
                page,
                "{} upcall={} import={import} value={:#x}",
                death.rule, death.upcall, death.value
            )
        }
        None => writeln!(page, "none"),
    }))
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
