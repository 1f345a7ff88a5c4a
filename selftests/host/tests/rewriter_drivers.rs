// SPDX-License-Identifier: GPL-2.0

//! The import rewriter over packaged drivers: every one loads, and what relocation makes of it
//! is byte for byte what the system's linker makes of it at the same addresses.

mod support;

use std::collections::HashSet;
use std::fmt::Write;
use std::process::Command;
use support::import_rewriter::elf::{Elf, Place, SymbolKind, SHT_NOBITS};
use support::import_rewriter::imports::Uses;
use support::import_rewriter::layout::{Group, Placed, ADDRESS_LIMIT, PAGE};
use support::import_rewriter::params::{self, Kind, ParamError, Scalar};
use support::import_rewriter::symbolize::symbolize;
use support::import_rewriter::{bugtable, modinfo, module, BadImage};
use support::pipeline::{import_address, load, marks, relocated, Loaded};
use support::{driver, e1000e, scratch, short_name, DRIVERS};

const BASE: u64 = 0x4000_0000;

fn elf(file: &[u8]) -> Elf<'_> {
    Elf::parse(file).expect("the packaged driver parses")
}

fn at<'a>(file: &'a [u8], loaded: &'a Loaded) -> Placed<'a> {
    Placed::new(elf(file), &loaded.placements, &loaded.layout, BASE).expect("the base fits")
}

/// Links `file` with every section and import at the address that the rewriter gave it, and
/// returns the bytes from `base` on.
fn linked(name: &str, file: &[u8], loaded: &Loaded, base: u64) -> Vec<u8> {
    let elf = elf(file);
    let folder = scratch(&format!("link-{name}-{base:x}"));
    let (object, script) = (folder.join("driver.o"), folder.join("script"));
    let (program, flat) = (folder.join("driver"), folder.join("flat"));
    std::fs::write(&object, file).unwrap();

    let mut sections: Vec<_> = elf
        .sections()
        .filter_map(|section| Some((loaded.placements[section.index]?.offset, section)))
        .collect();
    sections.sort_by_key(|(offset, section)| (*offset, section.size));
    let mut text = String::from("ENTRY(init_module)\nSECTIONS {\n");
    for (offset, section) in &sections {
        let name = std::str::from_utf8(section.name).unwrap();
        let address = base + *offset as u64;
        writeln!(
            text,
            "\"out{}\" {address:#x} : {{ *(\"{name}\") }}",
            section.index
        )
        .unwrap();
    }
    text.push_str("/DISCARD/ : { *(*) }\n}\n");
    for symbol in elf
        .symbols()
        .skip(1)
        .filter(|symbol| symbol.place == Place::Undefined)
    {
        let name = std::str::from_utf8(symbol.name).unwrap();
        writeln!(text, "\"{name}\" = {:#x};", import_address(symbol.index)).unwrap();
    }
    std::fs::write(&script, text).unwrap();

    let run = |command: &mut Command| {
        let output = command.output().expect("binutils run");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
    };
    run(Command::new("ld")
        .args(["--no-warnings", "--no-relax", "-n", "-T"])
        .arg(&script)
        .arg("-o")
        .arg(&program)
        .arg(&object));
    run(Command::new("objcopy")
        .args(["-O", "binary"])
        .arg(&program)
        .arg(&flat));
    let bytes = std::fs::read(&flat).unwrap();
    let _ = std::fs::remove_dir_all(&folder);
    // The flat file starts at the first section that has contents.
    let first = sections
        .iter()
        .find(|(_, section)| section.size > 0 && section.kind != SHT_NOBITS);
    let mut image = vec![0; first.expect("a section with contents").0];
    image.extend_from_slice(&bytes);
    image
}

#[test]
fn relocation_agrees_with_the_linker() {
    for path in DRIVERS {
        let file = driver(path);
        let name = short_name(path);
        for base in [0x40_0000, BASE, ADDRESS_LIMIT - (4 << 20)] {
            let loaded = relocated(&file, base).unwrap_or_else(|error| panic!("{name}: {error}"));
            let other = linked(name, &file, &loaded, base);
            let mut compared = 0;
            for section in elf(&file).sections() {
                let Some(placement) = loaded.placements[section.index] else {
                    continue;
                };
                if section.kind == SHT_NOBITS || section.size == 0 {
                    continue;
                }
                let (ours, theirs) = (&loaded.image[placement.range()], &other[placement.range()]);
                let differs = ours
                    .iter()
                    .zip(theirs)
                    .position(|(ours, theirs)| ours != theirs);
                let section_name = String::from_utf8_lossy(section.name);
                assert_eq!(differs, None, "{name} at {base:#x}: {section_name} differs");
                compared += section.size;
            }
            assert!(compared > 5_000, "{name}: only {compared} bytes compared");
        }
    }
}

#[test]
fn layout_keeps_permissions_apart() {
    for path in DRIVERS {
        let file = driver(path);
        let loaded = load(&file, BASE, b"").unwrap_or_else(|error| panic!("{path}: {error}"));
        let layout = &loaded.layout;
        assert_eq!(layout.text.start, 0);
        assert_eq!(layout.text.end, layout.rodata.start);
        assert_eq!(layout.rodata.end, layout.data.start);
        for end in [layout.text.end, layout.rodata.end, layout.data.end] {
            assert_eq!(end % PAGE, 0);
        }
        assert!(layout.data.start <= layout.strings.start);
        assert!(layout.strings.end <= layout.data.end);

        let mut ends: Vec<(usize, usize)> = Vec::new();
        for section in elf(&file).sections() {
            let Some(placement) = loaded.placements[section.index] else {
                continue;
            };
            let range = placement.range();
            assert_eq!(range.start % section.align as usize, 0);
            let home = match placement.group {
                Group::Text => &layout.text,
                Group::RoData => &layout.rodata,
                Group::Data => &layout.data,
            };
            assert!(home.start <= range.start && range.end <= home.end);
            assert!(range.is_empty() || range.end <= layout.strings.start);
            let clear = |&(start, end): &(usize, usize)| range.end <= start || end <= range.start;
            assert!(range.is_empty() || ends.iter().all(clear));
            ends.push((range.start, range.end));
        }
        for kept in [&b".text"[..], b".init.text", b".rodata", b".data"] {
            let section = elf(&file).section_named(kept).expect("section");
            assert!(loaded.placements[section.index].is_some());
        }
        for dropped in [&b".orc_unwind"[..], b".modinfo", b".BTF", b".return_sites"] {
            let section = elf(&file).section_named(dropped).expect("section");
            assert!(loaded.placements[section.index].is_none());
        }
    }
}

#[test]
fn e1000e_is_what_its_anatomy_says() {
    let file = e1000e();
    let loaded = load(&file, BASE, b"").unwrap();
    let placed = at(&file, &loaded);
    let info = module::info(&placed).unwrap();
    assert_eq!(info.name, b"e1000e");
    assert!(info.exit.is_some());
    let init = info.init.unwrap();
    let marks = marks(&placed);
    let found = symbolize(&placed, &marks, init + 5).unwrap();
    assert_eq!((found.name, found.offset), (&b"init_module"[..], 5));
    assert!(symbolize(&placed, &marks, BASE - 1).is_none());
    // Every function is found by its middle, under its own name or another of the same place.
    let mut functions = 0;
    for symbol in placed.elf.symbols() {
        let Some(address) = placed.symbol_address(symbol.index) else {
            continue;
        };
        if symbol.kind != SymbolKind::Function || symbol.name.starts_with(b"__pfx_") {
            continue;
        }
        let found = symbolize(&placed, &marks, address + symbol.size / 2).unwrap();
        assert_eq!((found.offset, found.size), (symbol.size / 2, symbol.size));
        functions += 1;
    }
    assert!(functions > 400, "{functions}");

    assert_eq!(loaded.summary.fentry, 398);
    assert_eq!(loaded.summary.returns, 473);
    assert_eq!(loaded.summary.retpolines, 681);
    assert_eq!(loaded.summary.jump_labels, 266);
    assert_eq!(
        (
            loaded.summary.alternatives_applied,
            loaded.summary.alternatives_kept
        ),
        (0, 0)
    );

    let find = |name: &str| {
        let found = loaded
            .imports
            .iter()
            .find(|(import, _)| import == name.as_bytes());
        found.unwrap_or_else(|| panic!("no import {name}")).1
    };
    assert_eq!(
        find("register_netdev"),
        Uses {
            called: true,
            addressed: false
        }
    );
    assert_eq!(
        find("jiffies"),
        Uses {
            called: false,
            addressed: true
        }
    );
    assert!(find("delayed_work_timer_fn").addressed);
    // Static-call keys are named by a table that is not loaded.
    assert!(!loaded
        .imports
        .iter()
        .any(|(name, _)| name.starts_with(b"__SCK__")));
    let names: HashSet<_> = loaded.imports.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), loaded.imports.len());
}

#[test]
fn bug_table_entries_point_at_their_traps() {
    let file = e1000e();
    let loaded = load(&file, BASE, b"").unwrap();
    let placed = at(&file, &loaded);
    let (mut bugs, mut warnings, mut traps) = (0, 0, 0);
    for bug in bugtable::entries(&placed, &loaded.image) {
        let at = placed.offset(bug.address).unwrap();
        // An entry of a WARN with arguments names the call of its trap instead.
        match loaded.image[at..at + 2] {
            [0x0f, 0x0b] => traps += 1,
            ref other => assert!(bug.has_arguments, "{other:x?} is no trap"),
        }
        let found = bugtable::lookup(&placed, &loaded.image, bug.address).unwrap();
        assert_eq!(found.index, bug.index);
        assert!(bug.file.unwrap().ends_with(b".c") || bug.file.unwrap().ends_with(b".h"));
        assert!(bug.line > 0);
        if bug.warning {
            warnings += 1;
        } else {
            bugs += 1;
        }
        // Without the data part of the image the answer is the same.
        let read_only = &loaded.image[..loaded.layout.rodata.end];
        assert_eq!(
            bugtable::lookup(&placed, read_only, bug.address),
            Some(found)
        );
    }
    assert_eq!((bugs, warnings, traps), (4, 10, 9));
}

#[test]
fn alternatives_keep_the_original() {
    let file = driver("ethernet/intel/igb/igb");
    let loaded = load(&file, BASE, b"").unwrap();
    assert_eq!(loaded.summary.alternatives_applied, 0);
    assert_eq!(loaded.summary.alternatives_kept, 3);
    let placed = at(&file, &loaded);
    let entries: Vec<_> =
        support::import_rewriter::patch::alternatives(&placed, &loaded.image).collect();
    assert!(entries.iter().all(|entry| entry.unwrap().feature == 200));

    let mut image = relocated(&file, BASE).unwrap().image;
    let summary = support::import_rewriter::patch::apply(&placed, &mut image, &|_| true).unwrap();
    assert_eq!(summary.alternatives_applied, 3);
    let site = entries[0].unwrap().site;
    assert_eq!(image[site..site + 3], [0x0f, 0x0d, 0x08]);
}

#[test]
fn entry_points_and_names_of_all() {
    for path in DRIVERS {
        let file = driver(path);
        let loaded = load(&file, BASE, b"").unwrap();
        let info = module::info(&at(&file, &loaded)).unwrap();
        let name = String::from_utf8_lossy(info.name).replace('_', "-");
        assert_eq!(name, short_name(path).replace('_', "-"));
        assert!(info.init.is_some());
        for address in [info.init, info.exit].into_iter().flatten() {
            assert!(loaded.layout.text.contains(&((address - BASE) as usize)));
        }
        assert!(loaded
            .layout
            .data
            .contains(&((info.this_module - BASE) as usize)));
        assert!(modinfo::values(&elf(&file), b"alias").count() > 0);
    }
}

#[test]
fn another_kernels_module_is_refused() {
    let file = e1000e();
    let elf = elf(&file);
    let own = modinfo::get(&elf, b"vermagic").unwrap();
    assert_eq!(modinfo::check_vermagic(&elf, own), Ok(()));
    let error = modinfo::check_vermagic(&elf, b"6.1.0 SMP").unwrap_err();
    assert_eq!(error.errno(), -8);
    let line = error.to_string();
    assert!(line.contains("6.1.0 SMP") && line.contains(std::str::from_utf8(own).unwrap().trim()));
}

#[test]
fn a_base_that_does_not_fit_is_refused() {
    let file = e1000e();
    for base in [
        BASE + 1,
        ADDRESS_LIMIT,
        ADDRESS_LIMIT - PAGE as u64,
        u64::MAX - 4095,
    ] {
        assert!(matches!(
            relocated(&file, base),
            Err(BadImage::WrongImage(_))
        ));
    }
}

fn with_params(file: &[u8], line: &str) -> Result<Vec<(String, String)>, ParamError> {
    let loaded = load(file, BASE, line.as_bytes()).unwrap();
    loaded.params?;
    let placed = at(file, &loaded);
    let shown = params::list(&placed, &loaded.image).map(|param| {
        let mut text = String::new();
        params::show(&placed, &loaded.image, &param, &mut text).unwrap();
        (String::from_utf8_lossy(param.name).into_owned(), text)
    });
    Ok(shown.collect())
}

#[test]
fn parameters_of_e1000e() {
    let file = e1000e();
    let loaded = load(&file, BASE, b"").unwrap();
    let placed = at(&file, &loaded);
    let listed: Vec<_> = params::list(&placed, &loaded.image).collect();
    assert_eq!(listed.len(), 12);
    let mode = listed
        .iter()
        .find(|param| param.name == b"IntMode")
        .unwrap();
    assert!(matches!(mode.kind, Kind::Array(array) if array.element == Scalar::Int));
    let copybreak = listed
        .iter()
        .find(|param| param.name == b"copybreak")
        .unwrap();
    assert!(matches!(copybreak.kind, Kind::Scalar(Scalar::UInt, _)));
    assert_eq!(copybreak.mode, 0o644);

    let value = |line: &str, name: &str| {
        let shown = with_params(&file, line).unwrap();
        shown
            .into_iter()
            .find(|(param, _)| param == name)
            .unwrap()
            .1
    };
    assert_eq!(value("", "copybreak"), "256");
    assert_eq!(value("copybreak=0x40", "copybreak"), "64");
    assert_eq!(value("IntMode=1", "IntMode"), "1");
    assert_eq!(
        value(
            "IntMode=2,1 InterruptThrottleRate=3,3",
            "InterruptThrottleRate"
        ),
        "3,3"
    );
    assert_eq!(
        value("  SmartPowerDownEnable=\"-1\"\n", "SmartPowerDownEnable"),
        "-1"
    );

    let error = |line: &str| with_params(&file, line).unwrap_err();
    assert!(matches!(error("NoSuch=1"), ParamError::Unknown(_)));
    assert!(matches!(error("copybreak=-1"), ParamError::BadValue { .. }));
    assert!(matches!(
        error("copybreak=4294967296"),
        ParamError::BadValue { .. }
    ));
    assert!(matches!(error("copybreak=1x"), ParamError::BadValue { .. }));
    assert!(matches!(error("copybreak"), ParamError::NoValue(_)));
    assert!(matches!(error("IntMode=1,,2"), ParamError::BadValue { .. }));
    let many = format!("IntMode={}0", "0,".repeat(40));
    assert!(matches!(
        error(&many),
        ParamError::ArrayTooLong { max: 33, .. }
    ));
    assert_eq!(
        error("IntMode=9z").to_string(),
        "'9z' is invalid for parameter 'IntMode'"
    );
    assert_eq!(error("NoSuch=1").errno(), -2);
}

/// bonding is no driver of a device, and has the kinds of parameters that those lack.
#[test]
fn string_parameters() {
    let file = driver("bonding/bonding");
    let line = "mode=802.3ad primary=\"eth 0\" arp_ip_target=10.0.0.1,10.0.0.2 miimon=+100";
    let shown = with_params(&file, line).unwrap();
    let value = |name: &str| {
        shown
            .iter()
            .find(|(param, _)| param == name)
            .unwrap()
            .1
            .as_str()
    };
    assert_eq!(value("mode"), "802.3ad");
    assert_eq!(value("primary"), "eth 0");
    // Without a count of its own, all sixteen elements of the array show.
    assert!(value("arp_ip_target").starts_with("10.0.0.1,10.0.0.2,(null),"));
    assert_eq!(value("miimon"), "100");
    assert_eq!(value("lacp_rate"), "(null)");

    let loaded = load(&file, BASE, line.as_bytes()).unwrap();
    let strings = &loaded.image[loaded.layout.strings.clone()];
    let stored: Vec<_> = strings.split(|&byte| byte == 0).take(5).collect();
    assert_eq!(
        stored,
        [&b"802.3ad"[..], b"eth 0", b"10.0.0.1", b"10.0.0.2", b""]
    );

    let long = format!("mode={}", "x".repeat(1025));
    let error = with_params(&file, &long).unwrap_err();
    assert!(matches!(error, ParamError::StringTooLong(_)));
    let full = "mode=".to_string() + &"y".repeat(1000) + " ";
    let error = with_params(&file, &full.repeat(5)).unwrap_err();
    assert!(matches!(error, ParamError::StringTooLong(_)));
}

#[test]
fn parameters_of_all_can_be_listed() {
    for path in DRIVERS {
        let file = driver(path);
        let entries = elf(&file)
            .section_named(b"__param")
            .map_or(0, |table| table.size / 40);
        let shown = with_params(&file, "").unwrap();
        assert_eq!(shown.len(), entries, "{path}");
        assert!(
            shown.iter().all(|(_, value)| value != "?"),
            "{path}: {shown:?}"
        );
    }
}
