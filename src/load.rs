// SPDX-License-Identifier: GPL-2.0

//! From a driver file to a domain that is ready to run: read, check, lay out, resolve, relocate,
//! patch, set parameters, map.

use crate::domain::Domain;
use crate::image::Image;
use crate::import_rewriter::elf::Elf;
use crate::import_rewriter::imports::{find_uses, imports, Uses};
use crate::import_rewriter::layout::{plan, Layout, Limits, Placed, Placement};
use crate::import_rewriter::{modinfo, module, params, patch, relocate, BadImage};
use crate::memory::Memory;
use crate::pages::Perm;
use crate::side_stubs::contract::*;
use crate::side_stubs::policy::{Class, Import, Init};
use crate::side_stubs::{ring3, table};
use crate::sys::access::PAGE;
use crate::sys::{file, params as own, random};
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use kernel::sync::Arc;

/// Bytes kept for the driver's string parameters.
const STRINGS: usize = 1024;

/// Where the imports of one driver lie.
struct Resolved {
    /// Table index and address, by symbol index.
    addresses: KVVec<Option<u64>>,
    /// Table indices of the imports.
    used: KVVec<usize>,
    /// The contents of the data region.
    data: KVVec<u8>,
    /// Offset of `jiffies` in it.
    jiffies: Option<u64>,
    missing: KVec<KVec<u8>>,
}

/// Makes a domain of the driver file at `path`. Process context.
///
/// Errors, each with one line in the log: EINVAL, ENOENT and what else reading gives; ENOEXEC for a
/// file that is no module of this kernel; ENOENT for unknown imports or parameters.
pub(crate) fn load(path: &[u8], line: &[u8]) -> Result<Arc<Domain>> {
    let shown = core::str::from_utf8(path).unwrap_or("(path is not UTF-8)");
    let bytes = file::read_driver(path).map_err(|error| {
        pr_err!("{shown}: {}\n", core::format_args!("{error}"));
        error.errno()
    })?;
    let bad = |error: BadImage| {
        pr_err!("{shown}: {}\n", core::format_args!("{error}"));
        Error::from_errno(error.errno())
    };
    let elf = Elf::parse(&bytes).map_err(bad)?;
    modinfo::check_vermagic(&elf, file::vermagic()).map_err(bad)?;

    let mut placements: KVVec<Option<Placement>> = KVVec::new();
    placements.resize(elf.section_count(), None, GFP_KERNEL)?;
    let limits = Limits {
        image: IMAGE_SPACE as usize,
        strings: STRINGS,
    };
    let layout = plan(&elf, &limits, &mut placements).map_err(bad)?;
    let placed = Placed::new(elf, &placements, &layout, IMAGE_BASE).map_err(bad)?;
    let info = module::info(&placed).map_err(bad)?;

    let resolved = resolve(&elf, &placements, shown).inspect_err(|error| {
        if *error == ENOEXEC {
            pr_err!("{shown}: the symbol table cannot be read\n");
        }
    })?;
    let mut image: KVVec<u8> = KVVec::new();
    image.resize(layout.size(), 0, GFP_KERNEL)?;
    let lookup = |symbol: u32, _: &[u8]| resolved.addresses.get(symbol as usize).copied().flatten();
    relocate::apply(&placed, &mut image, &lookup).map_err(bad)?;
    let summary = patch::apply(&placed, &mut image, &patch::default_policy).map_err(bad)?;
    params::apply(&placed, &layout, &mut image, line).map_err(|error| {
        pr_err!("{shown}: {}\n", core::format_args!("{error}"));
        Error::from_errno(error.errno())
    })?;

    let name = KVec::from_iter_copy(info.name)?;
    let memory = Memory::new(random::word())?;
    map(&memory, &layout, &image, &resolved)?;
    pr_info!(
        "{}: {} bytes of image, {} imports; {}\n",
        core::str::from_utf8(&name).unwrap_or("?"),
        image.len(),
        resolved.used.len(),
        shown
    );
    let _ = summary;
    let (init, exit) = (info.init, info.exit);
    let kept = Image {
        init: Some(init),
        exit,
        size: layout.size() as u64,
        params: KVec::from_iter_copy(line)?,
        missing: resolved.missing,
        placements,
        layout,
        relocated: image,
        file: bytes,
    };
    let domain = Domain::new(&name, kept, memory)?;
    for index in &resolved.used {
        domain.imported[*index].store(true, Ordering::Relaxed);
    }
    Ok(domain)
}

/// Gives every import its address. Unknown ones are all named in one message.
fn resolve(elf: &Elf<'_>, placements: &[Option<Placement>], shown: &str) -> Result<Resolved> {
    let mut uses: KVVec<Uses> = KVVec::new();
    uses.resize(elf.symbol_count() as usize, Uses::default(), GFP_KERNEL)?;
    find_uses(elf, placements, &mut uses).map_err(|_| ENOEXEC)?;
    let mut resolved = Resolved {
        addresses: KVVec::new(),
        used: KVVec::new(),
        data: KVVec::new(),
        jiffies: None,
        missing: KVec::new(),
    };
    resolved
        .addresses
        .resize(elf.symbol_count() as usize, None, GFP_KERNEL)?;
    for import in imports(elf, &uses) {
        let Some(index) = table::find(import.name) else {
            if !import.weak {
                resolved
                    .missing
                    .push(KVec::from_iter_copy(import.name)?, GFP_KERNEL)?;
                let number = table::COUNT + resolved.missing.len() - 1;
                let address = stub_address(number as u64);
                resolved.addresses[import.symbol as usize] = Some(address);
            }
            continue;
        };
        let Some(entry) = table::get(index) else {
            continue;
        };
        let address = address_of(entry, index, &mut resolved)?;
        resolved.addresses[import.symbol as usize] = Some(address);
        resolved.used.push(index, GFP_KERNEL)?;
    }
    if resolved.data.len() as u64 > DATA_SPACE {
        return Err(ENOMEM);
    }
    if !resolved.missing.is_empty() {
        let refused = !own::allow_missing();
        name_missing(shown, &resolved.missing, refused)?;
        if refused {
            return Err(ENOENT);
        }
    }
    Ok(resolved)
}

/// Names the unknown imports, several to a line: a record of the kernel log holds about 1,000 bytes.
fn name_missing(shown: &str, missing: &[KVec<u8>], refused: bool) -> Result {
    const LINE: usize = 700;
    if refused {
        pr_err!(
            "{shown}: refused for {} unknown imports (allow_missing=1 loads all the same):\n",
            missing.len()
        );
    } else {
        pr_warn!(
            "{shown}: {} unknown imports; a call ends the domain:\n",
            missing.len()
        );
    }
    let mut names: KVec<u8> = KVec::new();
    for (n, name) in missing.iter().enumerate() {
        names.push(b' ', GFP_KERNEL)?;
        names.extend_from_slice(name, GFP_KERNEL)?;
        if names.len() > LINE || n + 1 == missing.len() {
            pr_warn!(
                "  unknown:{}\n",
                core::str::from_utf8(&names).unwrap_or("?")
            );
            names.clear();
        }
    }
    Ok(())
}

fn address_of(import: &Import, index: usize, resolved: &mut Resolved) -> Result<u64> {
    match import.class {
        Class::Gate { .. } | Class::Denied(_) | Class::Native => Ok(stub_address(index as u64)),
        Class::Local => match ring3::find(import.name.as_bytes()) {
            Some(offset) => Ok(LIBRARY_BASE + offset),
            None => {
                pr_err!(
                    "{}: declared local, but not in the ring-3 library\n",
                    import.name
                );
                Err(ENOENT)
            }
        },
        Class::PerCpu { offset } => Ok(VCPU_BASE + u64::from(offset)),
        Class::Data { size, init } => {
            let offset = resolved.data.len().next_multiple_of(16);
            let end = offset + size as usize;
            resolved.data.resize(end, 0, GFP_KERNEL)?;
            let address = DATA_BASE + offset as u64;
            let room = &mut resolved.data[offset..end];
            match init {
                Init::Zero => {}
                Init::Word(word) => room[..8].copy_from_slice(&word.to_le_bytes()),
                Init::Token => room[..8].copy_from_slice(&address.to_le_bytes()),
                Init::Jiffies => resolved.jiffies = Some(offset as u64),
                Init::BootCpu => crate::sys::facts::boot_cpu(room),
                Init::OnlineMask => crate::sys::facts::online_mask(room),
            }
            Ok(address)
        }
    }
}

fn page_up(len: u64) -> u64 {
    len.next_multiple_of(PAGE)
}

/// Maps library, stubs, data and image.
fn map(memory: &Memory, layout: &Layout, image: &[u8], resolved: &Resolved) -> Result {
    let library = ring3::text();
    memory.region(
        LIBRARY_BASE,
        page_up(library.len() as u64),
        Perm::ReadExecute,
        library,
    )?;
    let slots = (table::COUNT + resolved.missing.len()) as u64 * STUB_SIZE;
    let mut stubs: KVVec<u8> = KVVec::new();
    stubs.resize(page_up(slots) as usize, 0, GFP_KERNEL)?;
    ring3::stubs(&mut stubs);
    memory.region(STUB_BASE, stubs.len() as u64, Perm::ReadExecute, &stubs)?;
    // The return and yield stubs lie on the last page of the stubs' room.
    let last = STUB_BASE + STUB_SPACE - PAGE;
    if last < STUB_BASE + stubs.len() as u64 {
        return Err(ENOMEM);
    }
    memory.region(last, PAGE, Perm::ReadExecute, &stubs[..PAGE as usize])?;
    for (n, page) in resolved.data.chunks(PAGE as usize).enumerate() {
        let start = n as u64 * PAGE;
        let jiffies = resolved
            .jiffies
            .filter(|at| *at / PAGE == n as u64)
            .map(|at| at % PAGE);
        memory.data_page(DATA_BASE + start, page, jiffies)?;
    }
    let groups = [
        (&layout.text, Perm::ReadExecute),
        (&layout.rodata, Perm::Read),
        (&layout.data, Perm::ReadWrite),
    ];
    for (range, perm) in groups {
        if !range.is_empty() {
            let base = IMAGE_BASE + range.start as u64;
            memory.region(base, range.len() as u64, perm, &image[range.clone()])?;
        }
    }
    Ok(())
}

/// A copy of a slice in a vector of its own.
trait FromSlice: Sized {
    fn from_iter_copy(bytes: &[u8]) -> Result<Self>;
}

impl FromSlice for KVec<u8> {
    fn from_iter_copy(bytes: &[u8]) -> Result<Self> {
        let mut copy = KVec::new();
        copy.extend_from_slice(bytes, GFP_KERNEL)?;
        Ok(copy)
    }
}
