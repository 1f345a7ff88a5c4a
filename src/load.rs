// SPDX-License-Identifier: GPL-2.0

//! From a driver file to a domain that is ready to run: read, check, lay out, resolve, relocate,
//! patch, set parameters, map.

use crate::domain::Domain;
use crate::image::{Image, Instance, Part};
use crate::import_rewriter::elf::{Elf, Place};
use crate::import_rewriter::imports::{find_uses, imports, Uses};
use crate::import_rewriter::layout::{plan, Limits, Placed, Placement};
use crate::import_rewriter::symbolize::{self, Mark};
use crate::import_rewriter::{dependencies, modinfo, module, params, patch, relocate, BadImage};
use crate::memory::Memory;
use crate::pages::Perm;
use crate::side_stubs::contract::*;
use crate::side_stubs::policy::{Class, Import, Init};
use crate::side_stubs::{request, ring3, rings, table};
use crate::sys::access::PAGE;
use crate::sys::{file, params as own, random};
use core::sync::atomic::Ordering;
use kernel::prelude::*;
use kernel::sync::Arc;

/// Bytes kept for the driver's string parameters.
const STRINGS: usize = 1024;
/// The most modules that one driver may need.
const MAX_PARTS: usize = 16;

/// Where the imports of one driver and of the modules that it needs lie.
struct Resolved {
    /// Addresses by table index; 0 for what is not imported.
    known: KVVec<u64>,
    /// The contents of the data region.
    data: KVVec<u8>,
    /// Offset of `jiffies` in it.
    jiffies: Option<u64>,
    missing: KVec<KVec<u8>>,
}

/// A module file that was read and may be loaded.
struct Opened {
    path: KVec<u8>,
    bytes: Arc<KVVec<u8>>,
}

fn text(path: &[u8]) -> &str {
    core::str::from_utf8(path).unwrap_or("(path is not UTF-8)")
}

/// Logs what is wrong with the file at `path`, and gives the errno.
fn bad(path: &[u8], error: BadImage) -> Error {
    pr_err!("{}: {}\n", text(path), core::format_args!("{error}"));
    Error::from_errno(error.errno())
}

impl Opened {
    /// Reads the module at `path` and checks that it is one of this kernel.
    fn new(path: &[u8]) -> Result<Opened> {
        let bytes = file::read_driver(path).map_err(|error| {
            pr_err!("{}: {}\n", text(path), core::format_args!("{error}"));
            error.errno()
        })?;
        let elf = Elf::parse(&bytes).map_err(|error| bad(path, error))?;
        modinfo::check_vermagic(&elf, file::vermagic()).map_err(|error| bad(path, error))?;
        Ok(Opened {
            path: KVec::from_iter_copy(path)?,
            bytes: Arc::new(bytes, GFP_KERNEL)?,
        })
    }

    /// A reader of the file, which was checked when it was read.
    fn elf(&self) -> Result<Elf<'_>> {
        Elf::reopen(&self.bytes).map_err(|error| bad(&self.path, error))
    }

    /// Its symbols by their names.
    fn names(&self) -> Result<KVVec<u32>> {
        let elf = self.elf()?;
        let mut names = KVVec::new();
        names.resize(elf.symbol_count() as usize, 0, GFP_KERNEL)?;
        let count = dependencies::sort_names(&elf, &mut names);
        names.truncate(count);
        Ok(names)
    }
}

/// Whether `user` imports something that SIDE does not declare and `provider` exports, whose symbols by their
/// names are `names`.
fn needs(user: &Elf<'_>, provider: &Elf<'_>, names: &[u32]) -> bool {
    user.symbols().any(|symbol| {
        symbol.place == Place::Undefined
            && symbol.index != 0
            && table::find(symbol.name).is_none()
            && dependencies::exports(provider, names, symbol.name)
    })
}

/// The modules that must be loaded into the domain before `driver`, in their order. A module whose
/// exports SIDE itself declares is not needed.
fn prerequisites(driver: &Opened) -> Result<KVec<Opened>> {
    let elf = driver.elf()?;
    let mut found: KVec<Opened> = KVec::new();
    if dependencies::depends(&elf).next().is_none() {
        return Ok(found);
    }
    let folder = file::modules_folder()?;
    let mut index_path = KVec::from_iter_copy(&folder)?;
    index_path.extend_from_slice(b"modules.dep", GFP_KERNEL)?;
    let index = file::read(&index_path).map_err(|error| {
        pr_err!("{}: {}\n", text(&index_path), core::format_args!("{error}"));
        error.errno()
    })?;
    // From the last to be loaded to the first.
    let mut paths: KVec<&[u8]> = KVec::new();
    for name in dependencies::depends(&elf) {
        let Some(line) = dependencies::find(&index, name) else {
            pr_err!(
                "{}: needs the module {}, which {} does not list\n",
                text(&driver.path),
                text(name),
                text(&index_path)
            );
            return Err(ENOENT);
        };
        for file in core::iter::once(line.file).chain(line.needs()) {
            if let Some(at) = paths.iter().position(|known| *known == file) {
                // What several need goes to the front of all of them.
                let _ = paths.remove(at);
            }
            paths.push(file, GFP_KERNEL)?;
        }
        if paths.len() > MAX_PARTS {
            pr_err!("{}: needs too many modules\n", text(&driver.path));
            return Err(E2BIG);
        }
    }
    for file in paths {
        let mut path = KVec::from_iter_copy(&folder)?;
        path.extend_from_slice(file, GFP_KERNEL)?;
        let opened = Opened::new(&path)?;
        let (provider, names) = (opened.elf()?, opened.names()?);
        let mut wanted = needs(&elf, &provider, &names);
        for user in &found {
            wanted |= needs(&user.elf()?, &provider, &names);
        }
        if wanted {
            found.push(opened, GFP_KERNEL)?;
        }
    }
    found.reverse();
    Ok(found)
}

/// Makes a domain of the driver file that `request` names (`side_stubs/request.rs`), with the modules
/// in it that the driver needs. Process context.
///
/// Errors, each with one line in the log: EINVAL, ENOENT and what else reading gives; ENOEXEC for a
/// file that is no module of this kernel; ENOENT for unknown imports, parameters or modules.
pub(crate) fn load(request: &[u8], line: &[u8]) -> Result<Arc<Domain>> {
    let wanted = request::parse(request).map_err(|bad| {
        pr_err!("cannot load \"{}\": {}\n", text(request), bad.reason());
        EINVAL
    })?;
    let instance = Instance::new(wanted.name.unwrap_or(b""), wanted.devices)?;
    load_file(wanted.path, line, instance)
}

/// Makes a domain of the driver file at `path` for the instance that `old` is of. Process context.
/// Errors as those of [`load`], EINVAL if it is another driver's file.
pub(crate) fn successor(old: &Image, path: &[u8], line: &[u8]) -> Result<Arc<Domain>> {
    let instance = Instance::new(&old.instance.name, &old.instance.devices)?;
    let domain = load_file(path, line, instance)?;
    if domain.image.driver[..] != old.driver[..] {
        pr_err!("{}: another driver's file\n", text(path));
        return Err(EINVAL);
    }
    Ok(domain)
}

fn load_file(path: &[u8], line: &[u8], instance: Instance) -> Result<Arc<Domain>> {
    let driver = Opened::new(path)?;
    let mut files = prerequisites(&driver)?;
    files.push(driver, GFP_KERNEL)?;
    build(files, line, instance)
}

/// Makes a domain of the same files as `old`, which are in memory, with the parameters `line`. Process
/// context. Errors as those of [`load`].
pub(crate) fn reload(old: &Image, line: &[u8]) -> Result<Arc<Domain>> {
    let mut files: KVec<Opened> = KVec::new();
    for part in &old.parts {
        let opened = Opened {
            path: KVec::from_iter_copy(&part.path)?,
            bytes: part.file.clone(),
        };
        files.push(opened, GFP_KERNEL)?;
    }
    let instance = Instance::new(&old.instance.name, &old.instance.devices)?;
    build(files, line, instance)
}

/// Makes a domain of `files`, of which the last is the driver.
fn build(files: KVec<Opened>, line: &[u8], instance: Instance) -> Result<Arc<Domain>> {
    let driver = files.last().ok_or(EINVAL)?;
    let shown = KVec::from_iter_copy(&driver.path)?;
    let path = &shown[..];
    let own_name = KVec::from_iter_copy(modinfo::name(&driver.elf()?).map_err(|e| bad(path, e))?)?;
    let name = KVec::from_iter_copy(match instance.name.is_empty() {
        true => &own_name,
        false => &instance.name,
    })?;
    let mut resolved = Resolved::new()?;
    let mut parts: KVec<Part> = KVec::new();
    let last = files.len() - 1;
    for (n, file) in files.into_iter().enumerate() {
        let (line, names) = match n == last {
            true => (line, KVVec::new()),
            false => (&b""[..], file.names()?),
        };
        let part = prepare(file, line, names, &parts, &mut resolved)?;
        parts.push(part, GFP_KERNEL)?;
    }
    if resolved.data.len() as u64 > DATA_SPACE {
        return Err(ENOMEM);
    }
    if !resolved.missing.is_empty() {
        let refused = !own::allow_missing();
        name_missing(text(path), &resolved.missing, refused)?;
        if refused {
            return Err(ENOENT);
        }
    }
    let memory = Memory::new(random::word())?;
    map(&memory, &parts, &resolved)?;
    let used = resolved.known.iter().filter(|address| **address != 0);
    let count = used.count();
    let missing = core::mem::take(&mut resolved.missing);
    let kept = Image {
        driver: own_name,
        instance,
        parts,
        params: KVec::from_iter_copy(line)?,
        missing,
    };
    pr_info!(
        "{}: {} bytes of image, {} imports, {} other modules; {}\n",
        text(&name),
        kept.size(),
        count,
        last,
        text(path)
    );
    let domain = Domain::new(&name, kept, memory)?;
    for (index, address) in resolved.known.iter().enumerate() {
        domain.imported[index].store(*address != 0, Ordering::Relaxed);
    }
    for (n, name) in rings::HYBRIDS.iter().enumerate() {
        let place = table::find(name.as_bytes()).and_then(|index| domain.imported.get(index));
        if place.is_some_and(|imported| imported.load(Ordering::Relaxed)) {
            domain.hybrids.fetch_or(1 << n, Ordering::Relaxed);
        }
    }
    Ok(domain)
}

/// Lays one module out behind `others`, resolves its imports, relocates and patches it, and sets its
/// parameters from `line`. `names` are its symbols, if later ones may use its exports.
fn prepare(
    file: Opened,
    line: &[u8],
    names: KVVec<u32>,
    others: &[Part],
    resolved: &mut Resolved,
) -> Result<Part> {
    let path = &file.path;
    let elf = file.elf()?;
    // Between two images lies a page that is never mapped.
    let base = others.last().map_or(IMAGE_BASE, |part| {
        part.base + page_up(part.layout.size() as u64) + PAGE
    });
    let mut placements: KVVec<Option<Placement>> = KVVec::new();
    placements.resize(elf.section_count(), None, GFP_KERNEL)?;
    let limits = Limits {
        image: (IMAGE_BASE + IMAGE_SPACE).saturating_sub(base) as usize,
        strings: STRINGS,
    };
    let layout = plan(&elf, &limits, &mut placements).map_err(|e| bad(path, e))?;
    let placed = Placed::new(elf, &placements, &layout, base).map_err(|e| bad(path, e))?;
    let info = module::info(&placed).map_err(|e| bad(path, e))?;
    let addresses = resolve(&elf, &placements, others, resolved).inspect_err(|error| {
        if *error == ENOEXEC {
            pr_err!("{}: the symbol table cannot be read\n", text(path));
        }
    })?;
    let mut image: KVVec<u8> = KVVec::new();
    image.resize(layout.size(), 0, GFP_KERNEL)?;
    let lookup = |symbol: u32, _: &[u8]| addresses.get(symbol as usize).copied().flatten();
    relocate::apply(&placed, &mut image, &lookup).map_err(|e| bad(path, e))?;
    patch::apply(&placed, &mut image, &patch::default_policy).map_err(|e| bad(path, e))?;
    params::apply(&placed, &layout, &mut image, line).map_err(|error| {
        pr_err!("{}: {}\n", text(path), core::format_args!("{error}"));
        Error::from_errno(error.errno())
    })?;
    let mut marks = KVVec::new();
    marks.resize(elf.symbol_count() as usize, Mark::default(), GFP_KERNEL)?;
    let count = symbolize::sort(&elf, &placements, &mut marks);
    marks.truncate(count);
    let (init, exit) = (info.init, info.exit);
    Ok(Part {
        base,
        init,
        exit,
        placements,
        layout,
        relocated: image,
        marks,
        names,
        path: file.path,
        file: file.bytes,
    })
}

impl Resolved {
    fn new() -> Result<Self> {
        let mut known = KVVec::new();
        known.resize(table::COUNT, 0, GFP_KERNEL)?;
        Ok(Resolved {
            known,
            data: KVVec::new(),
            jiffies: None,
            missing: KVec::new(),
        })
    }

    /// The stub that stands for the unknown import `name`.
    fn unknown(&mut self, name: &[u8]) -> Result<u64> {
        let at = match self.missing.iter().position(|known| &known[..] == name) {
            Some(at) => at,
            None => {
                let name = KVec::from_iter_copy(name)?;
                self.missing.push(name, GFP_KERNEL)?;
                self.missing.len() - 1
            }
        };
        Ok(stub_address((table::COUNT + at) as u64))
    }
}

/// Gives every import its address, by symbol index: what the table declares first, then what
/// `others` export.
fn resolve(
    elf: &Elf<'_>,
    placements: &[Option<Placement>],
    others: &[Part],
    resolved: &mut Resolved,
) -> Result<KVVec<Option<u64>>> {
    let mut uses: KVVec<Uses> = KVVec::new();
    uses.resize(elf.symbol_count() as usize, Uses::default(), GFP_KERNEL)?;
    find_uses(elf, placements, &mut uses).map_err(|_| ENOEXEC)?;
    let mut addresses = KVVec::new();
    addresses.resize(elf.symbol_count() as usize, None, GFP_KERNEL)?;
    for import in imports(elf, &uses) {
        let index = table::find(import.name);
        let declared = index.and_then(|index| Some((index, table::get(index)?)));
        addresses[import.symbol as usize] = match declared {
            Some((index, entry)) => {
                if resolved.known[index] == 0 {
                    resolved.known[index] = address_of(entry, index, resolved)?;
                }
                Some(resolved.known[index])
            }
            None => match others.iter().find_map(|part| part.exported(import.name)) {
                Some(address) => Some(address),
                None if import.weak => None,
                None => Some(resolved.unknown(import.name)?),
            },
        };
    }
    Ok(addresses)
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
        // The library's own answer, which goes on to the gate where it may not be used.
        Class::Gate { .. } if rings::number(import.name).is_some() => {
            let offset = ring3::find(import.name.as_bytes()).ok_or(ENOENT)?;
            Ok(LIBRARY_BASE + offset)
        }
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
                Init::OnlineCount => {
                    let count = crate::sys::cpu::online();
                    room[..4].copy_from_slice(&count.to_le_bytes());
                }
                Init::ReversedBits => {
                    for (n, byte) in room.iter_mut().enumerate() {
                        *byte = (n as u8).reverse_bits();
                    }
                }
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
fn map(memory: &Memory, parts: &[Part], resolved: &Resolved) -> Result {
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
    for (n, name) in rings::HYBRIDS.iter().enumerate() {
        let index = table::find(name.as_bytes()).ok_or(ENOENT)?;
        memory.set_control(n as u64 * 8, stub_address(index as u64));
    }
    for (n, page) in resolved.data.chunks(PAGE as usize).enumerate() {
        let start = n as u64 * PAGE;
        let jiffies = resolved
            .jiffies
            .filter(|at| *at / PAGE == n as u64)
            .map(|at| at % PAGE);
        memory.data_page(DATA_BASE + start, page, jiffies)?;
    }
    for part in parts {
        let groups = [
            (&part.layout.text, Perm::ReadExecute),
            (&part.layout.rodata, Perm::Read),
            (&part.layout.data, Perm::ReadWrite),
        ];
        for (range, perm) in groups {
            if !range.is_empty() {
                let base = part.base + range.start as u64;
                let bytes = &part.relocated[range.clone()];
                memory.region(base, range.len() as u64, perm, bytes)?;
            }
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
