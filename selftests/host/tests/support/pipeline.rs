// SPDX-License-Identifier: GPL-2.0

//! The whole way of a driver file through the import rewriter, as the kernel module goes it, and
//! then every question that the fault handler asks. The host tests and the fuzz target both run
//! it: whatever the file holds, it ends in an image or in one error, without a panic.

use super::import_rewriter::dependencies;
use super::import_rewriter::elf::Elf;
use super::import_rewriter::imports::{find_uses, imports, Uses};
use super::import_rewriter::layout::{plan, Layout, Limits, Placed, Placement};
use super::import_rewriter::params::ParamError;
use super::import_rewriter::symbolize::{self, symbolize, Mark};
use super::import_rewriter::{
    bugtable, extable, modinfo, module, params, patch, relocate, BadImage,
};

/// Where the made-up imports lie: the nth used symbol at a slot of 16 bytes.
pub const IMPORTS: u64 = 0x1000_0000;

/// The largest image that the tests load.
pub const IMAGE_MAX: usize = 2 << 20;

/// A loaded driver.
pub struct Loaded {
    /// The image's shape.
    pub layout: Layout,
    /// Where each section lies.
    pub placements: Vec<Option<Placement>>,
    /// The relocated and patched image.
    pub image: Vec<u8>,
    /// What was patched.
    pub summary: patch::Summary,
    /// Names of the imports, each with how it is used.
    pub imports: Vec<(Vec<u8>, Uses)>,
    /// What came of the parameters.
    pub params: Result<(), ParamError>,
}

/// The address of the import with symbol index `symbol`.
pub fn import_address(symbol: u32) -> u64 {
    IMPORTS + u64::from(symbol) * 16
}

/// Relocates `file` for `base` without patching it.
pub fn relocated(file: &[u8], base: u64) -> Result<Loaded, BadImage> {
    let elf = Elf::parse(file)?;
    let mut placements = vec![None; elf.section_count()];
    let layout = plan(
        &elf,
        &Limits {
            image: IMAGE_MAX,
            strings: 4096,
        },
        &mut placements,
    )?;
    let mut uses = vec![Uses::default(); elf.symbol_count() as usize];
    find_uses(&elf, &placements, &mut uses)?;
    let found = imports(&elf, &uses)
        .map(|import| (import.name.to_vec(), import.uses))
        .collect::<Vec<_>>();
    let mut image = vec![0; layout.size()];
    let placed = Placed::new(elf, &placements, &layout, base)?;
    relocate::apply(&placed, &mut image, &|symbol, _| {
        Some(import_address(symbol))
    })?;
    let summary = patch::Summary::default();
    Ok(Loaded {
        layout,
        placements,
        image,
        summary,
        imports: found,
        params: Ok(()),
    })
}

/// Loads `file` at `base` with the parameters `line`, then asks everything about the result.
pub fn load(file: &[u8], base: u64, line: &[u8]) -> Result<Loaded, BadImage> {
    let mut loaded = relocated(file, base)?;
    let elf = Elf::parse(file)?;
    let placed = Placed::new(elf, &loaded.placements, &loaded.layout, base)?;
    loaded.summary = patch::apply(&placed, &mut loaded.image, &patch::default_policy)?;
    loaded.params = params::apply(&placed, &loaded.layout, &mut loaded.image, line);
    ask(&placed, &loaded);
    Ok(loaded)
}

/// Runs the readers over a loaded image; only that they end matters.
fn ask(placed: &Placed<'_>, loaded: &Loaded) {
    let _ = modinfo::entries(&placed.elf).count();
    let _ = modinfo::check_vermagic(&placed.elf, b"7.3").map_err(|error| error.to_string());
    let _ = module::info(placed).map_err(|error| error.to_string());
    let _ = loaded.params.map_err(|error| error.to_string());
    let image = &loaded.image;
    for param in params::list(placed, image).take(64) {
        let mut text = String::new();
        let _ = params::show(placed, image, &param, &mut text);
    }
    for bug in bugtable::entries(placed, image).take(64) {
        let _ = bugtable::lookup(placed, image, bug.address);
        let _ = extable::lookup(placed, image, bug.address);
    }
    let _ = patch::alternatives(placed, image)
        .take(64)
        .filter(Result::is_err)
        .count();
    let marks = marks(placed);
    for part in 0..5 {
        let address = placed.address(loaded.layout.size() / 4 * part + 17);
        let _ = symbolize(placed, &marks, address);
    }
    let mut names = vec![0; placed.elf.symbol_count() as usize];
    let count = dependencies::sort_names(&placed.elf, &mut names);
    names.truncate(count);
    let _ = dependencies::exported(placed, &names, b"printk");
}

/// The symbols of a module by their place.
pub fn marks(placed: &Placed<'_>) -> Vec<Mark> {
    let mut marks = vec![Mark::default(); placed.elf.symbol_count() as usize];
    let count = symbolize::sort(&placed.elf, placed.placements, &mut marks);
    marks.truncate(count);
    marks
}
