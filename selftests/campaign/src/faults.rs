// SPDX-License-Identifier: GPL-2.0

//! The kinds of faults: what each looks for in a driver, and what it changes there.
//!
//! The first ones are those of the Nooks and Rio campaigns, done to the compiled code; the later
//! ones are attacks on the kernel's interfaces, done by taking a call away or sending it elsewhere.

use crate::driver::{Driver, Site};
use crate::fault_handler::decode::{Base, Encoding, Map};
use crate::fault_handler::kinds::{Kind as What, Target};
use crate::random::Random;

/// A fault, ready to be written into a copy of the file.
pub struct Fault {
    /// Name of its kind.
    pub kind: &'static str,
    /// Where: function and offset, or section and offset.
    pub place: String,
    /// What was done.
    pub what: String,
    /// Whether the load executes the place; `None` for data.
    pub covered: Option<bool>,
    /// Offsets in the file and the new bytes there.
    pub changes: Vec<(usize, Vec<u8>)>,
}

/// New bytes and what they do.
type Change = (Vec<(usize, Vec<u8>)>, String);

/// Changes the instruction `sites[n]`, if the kind fits it.
type Mutate = fn(&Driver, usize, &mut Random) -> Option<Change>;

/// One kind of fault.
pub struct Kind {
    name: &'static str,
    /// `None` for faults in data.
    mutate: Option<Mutate>,
}

/// All kinds, in the order in which trials take them.
pub const KINDS: &[Kind] = &[
    kind("source-register", source_register),
    kind("destination-register", destination_register),
    kind("pointer", pointer),
    kind("branch-inverted", branch_inverted),
    kind("branch-never", branch_never),
    kind("loop-bound", loop_bound),
    kind("instruction-dropped", dropped),
    kind("stack", stack),
    kind("heap", heap),
    Kind {
        name: "data",
        mutate: None,
    },
    kind("argument", argument),
    kind("free-dropped", |driver, n, _| {
        drop_call(
            driver,
            n,
            &[
                "kfree",
                "vfree",
                "kvfree",
                "dma_free_attrs",
                "dma_unmap_page_attrs",
                "free_irq",
                "consume_skb",
                "dev_kfree_skb_any_reason",
                "free_netdev",
                "iounmap",
            ],
        )
    }),
    kind("lock-kept", |driver, n, _| {
        drop_call(
            driver,
            n,
            &[
                "_raw_spin_unlock",
                "_raw_spin_unlock_irq",
                "_raw_spin_unlock_irqrestore",
                "_raw_spin_unlock_bh",
                "mutex_unlock",
                "rtnl_unlock",
                "__rcu_read_unlock",
            ],
        )
    }),
    kind("sleep-in-atomic", |driver, n, _| {
        retarget(
            driver,
            n,
            &[
                "__const_udelay",
                "__udelay",
                "napi_schedule_prep",
                "__napi_schedule",
                "eth_type_trans",
                "_raw_spin_lock",
                "_raw_spin_lock_irqsave",
            ],
            &["msleep", "usleep_range_state"],
        )
    }),
    kind("live-freed", |driver, n, random| {
        let to = *random.pick(&["free_netdev", "unregister_netdev", "kfree"]);
        retarget(
            driver,
            n,
            &[
                "netif_carrier_on",
                "netif_carrier_off",
                "netif_device_attach",
                "netif_device_detach",
                "netdev_info",
                "netif_tx_stop_all_queues",
                "netif_tx_wake_queue",
                "netif_schedule_queue",
                "synchronize_net",
                "register_netdev",
            ],
            &[to],
        )
    }),
    kind("packet-freed-twice", |driver, n, _| {
        retarget(
            driver,
            n,
            &[
                "eth_type_trans",
                "skb_put",
                "skb_trim",
                "___pskb_trim",
                "skb_tstamp_tx",
                "__pskb_pull_tail",
                "skb_add_rx_frag_netmem",
                "skb_clone_tx_timestamp",
                "napi_consume_skb",
            ],
            &[
                "dev_kfree_skb_any_reason",
                "consume_skb",
                "__dev_kfree_skb_any",
                "sk_skb_reason_drop",
                "kfree_skb_reason",
            ],
        )
    }),
    kind("call-dropped", |driver, n, _| {
        let site = driver.sites.get(n)?;
        let name = &site.target.as_ref()?.name;
        (!name.starts_with("__x86") && name != "__fentry__").then_some(())?;
        drop_call(driver, n, &[name])
    }),
];

const fn kind(name: &'static str, mutate: Mutate) -> Kind {
    Kind {
        name,
        mutate: Some(mutate),
    }
}

impl Kind {
    /// A fault of this kind; of a hundred `covered` go to executed code as far as that is known.
    pub fn choose(&self, driver: &Driver, random: &mut Random, covered: usize) -> Option<Fault> {
        let Some(mutate) = self.mutate else {
            return self.data(driver, random);
        };
        let wanted = driver.profiled && random.below(100) < covered;
        for only_covered in [wanted, false] {
            let fits: Vec<usize> = (0..driver.sites.len())
                .filter(|n| driver.sites[*n].covered || !only_covered)
                // Whether a kind fits does not depend on the numbers, only what it does.
                .filter(|n| mutate(driver, *n, &mut Random::of_trial(0, 0)).is_some())
                .collect();
            if fits.is_empty() {
                continue;
            }
            let n = *random.pick(&fits);
            let site = &driver.sites[n];
            let (changes, what) = mutate(driver, n, random)?;
            return Some(Fault {
                kind: self.name,
                place: format!("{}+{:#x}", site.function, site.offset),
                what,
                covered: Some(site.covered),
                changes,
            });
        }
        None
    }

    fn data(&self, driver: &Driver, random: &mut Random) -> Option<Fault> {
        (!driver.data.is_empty()).then_some(())?;
        let (at, section) = random.pick(&driver.data);
        let bit = random.below(8);
        let new = driver.bytes[*at] ^ 1 << bit;
        Some(Fault {
            kind: self.name,
            place: format!("{section} at file offset {at:#x}"),
            what: format!("bit {bit} flipped"),
            covered: None,
            changes: vec![(*at, vec![new])],
        })
    }
}

/// The bytes of an instruction, and where its ModRM byte stands in them.
struct Code {
    bytes: Vec<u8>,
    opcode: usize,
}

fn code(driver: &Driver, site: &Site) -> Option<Code> {
    (site.insn.encoding == Encoding::Legacy).then_some(())?;
    let bytes = driver
        .bytes
        .get(site.file..site.file + site.len())?
        .to_vec();
    let prefix = |byte: &u8| matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3);
    let opcode = bytes.iter().take_while(|byte| prefix(byte)).count();
    Some(Code { bytes, opcode })
}

impl Code {
    /// Place of ModRM for a map.
    fn modrm(&self, map: Map) -> usize {
        self.opcode
            + match map {
                Map::One => 1,
                Map::Two => 2,
                _ => 3,
            }
    }

    fn done(self, site: &Site, what: String) -> Option<Change> {
        Some((vec![(site.file, self.bytes)], what))
    }
}

/// Instructions whose ModRM.reg is read, and those whose it is written.
fn reads_reg(map: Map, opcode: u8) -> bool {
    map == Map::One
        && (opcode < 0x40 && opcode & 6 == 0 || matches!(opcode, 0x84 | 0x85 | 0x88 | 0x89))
}

fn writes_reg(map: Map, opcode: u8) -> bool {
    match map {
        Map::One => {
            opcode < 0x38 && opcode & 6 == 2
                || matches!(opcode, 0x63 | 0x69 | 0x6b | 0x8a | 0x8b | 0x8d)
        }
        Map::Two => matches!(opcode, 0x40..=0x4f | 0xaf | 0xb6 | 0xb7 | 0xbe | 0xbf),
        _ => false,
    }
}

fn change_reg(driver: &Driver, site: &Site, random: &mut Random) -> Option<Change> {
    let mut code = code(driver, site)?;
    let at = code.modrm(site.insn.map);
    let old = site.insn.modrm?.reg;
    let new = random.other(old);
    *code.bytes.get_mut(at)? ^= (old ^ new) << 3;
    code.done(site, format!("register {old} became {new}"))
}

fn source_register(driver: &Driver, n: usize, random: &mut Random) -> Option<Change> {
    let site = driver.sites.get(n)?;
    reads_reg(site.insn.map, site.insn.opcode).then_some(())?;
    change_reg(driver, site, random)
}

fn destination_register(driver: &Driver, n: usize, random: &mut Random) -> Option<Change> {
    let site = driver.sites.get(n)?;
    writes_reg(site.insn.map, site.insn.opcode).then_some(())?;
    change_reg(driver, site, random)
}

/// Flips a bit of the displacement of a memory operand, or takes another base register.
fn pointer(driver: &Driver, n: usize, random: &mut Random) -> Option<Change> {
    let site = driver.sites.get(n)?;
    site.target.is_none().then_some(())?;
    let modrm = site.insn.modrm?;
    let operand = site.insn.operand?;
    (site.insn.accesses[0].is_some() && matches!(operand.base, Base::Register(_))).then_some(())?;
    // No SIB byte: the displacement follows ModRM at once.
    (modrm.rm != 4 && modrm.mode != 3).then_some(())?;
    let mut code = code(driver, site)?;
    let at = code.modrm(site.insn.map);
    if modrm.mode != 0 && random.below(2) == 0 {
        let bit = random.below(if modrm.mode == 1 { 7 } else { 12 });
        *code.bytes.get_mut(at + 1 + bit / 8)? ^= 1 << (bit % 8);
        return code.done(site, format!("bit {bit} of the displacement flipped"));
    }
    let others = [0u8, 1, 2, 3, 6, 7].map(|r| if r == modrm.rm { 5 } else { r });
    let mut new = *random.pick(&others);
    if modrm.mode == 0 && new == 5 {
        new = if modrm.rm == 0 { 1 } else { 0 };
    }
    *code.bytes.get_mut(at)? ^= modrm.rm ^ new;
    code.done(site, format!("base register {} became {new}", modrm.rm))
}

/// Place of the condition's byte in a conditional branch, and whether the branch is short.
fn branch(driver: &Driver, site: &Site) -> Option<(Code, usize, bool)> {
    site.target.is_none().then_some(())?;
    let code = code(driver, site)?;
    match (site.insn.map, site.insn.opcode) {
        (Map::One, 0x70..=0x7f) => {
            let at = code.opcode;
            Some((code, at, true))
        }
        (Map::Two, 0x80..=0x8f) => {
            let at = code.opcode + 1;
            Some((code, at, false))
        }
        _ => None,
    }
}

fn branch_inverted(driver: &Driver, n: usize, _: &mut Random) -> Option<Change> {
    let site = driver.sites.get(n)?;
    let (mut code, at, _) = branch(driver, site)?;
    *code.bytes.get_mut(at)? ^= 1;
    code.done(site, "condition inverted".into())
}

fn branch_never(driver: &Driver, n: usize, _: &mut Random) -> Option<Change> {
    let site = driver.sites.get(n)?;
    branch(driver, site)?;
    Some((vec![(site.file, nops(site.len()))], "branch removed".into()))
}

/// A backward branch that ends a loop: strict for not strict, or the constant before it.
fn loop_bound(driver: &Driver, n: usize, random: &mut Random) -> Option<Change> {
    let site = driver.sites.get(n)?;
    let (mut code, at, _) = branch(driver, site)?;
    (site.insn.immediate < 0).then_some(())?;
    let condition = *code.bytes.get(at)? & 15;
    let other = match condition {
        2 => 6,
        6 => 2,
        3 => 7,
        7 => 3,
        0xc => 0xe,
        0xe => 0xc,
        0xd => 0xf,
        0xf => 0xd,
        _ => 0,
    };
    if other != 0 {
        *code.bytes.get_mut(at)? ^= condition ^ other;
        return code.done(site, format!("condition {condition:x} became {other:x}"));
    }
    // cmp or sub with a constant just before.
    let before = driver.sites.get(n.checked_sub(1)?)?;
    let group = before.insn.modrm?.reg;
    let fits = before.function == site.function
        && before.target.is_none()
        && before.insn.map == Map::One
        && matches!(before.insn.opcode, 0x80 | 0x81 | 0x83)
        && matches!(group, 0 | 5 | 7);
    fits.then_some(())?;
    let by = if random.below(2) == 0 { 1i64 } else { -1 };
    let width = if before.insn.opcode == 0x81 { 4 } else { 1 };
    let at = before.file + before.len() - width;
    let new = before.insn.immediate.wrapping_add(by).to_le_bytes();
    Some((
        vec![(at, new[..width].to_vec())],
        format!("bound {} changed by {by}", before.insn.immediate),
    ))
}

fn nops(len: usize) -> Vec<u8> {
    vec![0x90; len]
}

fn dropped(driver: &Driver, n: usize, _: &mut Random) -> Option<Change> {
    let site = driver.sites.get(n)?;
    let plain = !matches!(site.insn.kind, What::Call(_) | What::Jump(_) | What::Return);
    let nop = site.insn.map == Map::Two && matches!(site.insn.opcode, 0x1e | 0x1f)
        || site.insn.opcode == 0x90;
    (plain && !nop && site.target.is_none()).then_some(())?;
    Some((
        vec![(site.file, nops(site.len()))],
        "instruction removed".into(),
    ))
}

/// A store, and the place of its displacement.
fn store(driver: &Driver, site: &Site, on_stack: bool) -> Option<(Code, usize)> {
    site.target.is_none().then_some(())?;
    let writes = site
        .insn
        .accesses
        .iter()
        .flatten()
        .any(|access| access.write);
    let modrm = site.insn.modrm?;
    let operand = site.insn.operand?;
    (writes && matches!(modrm.mode, 1 | 2)).then_some(())?;
    ((operand.base == Base::Register(4)) == on_stack).then_some(())?;
    let code = code(driver, site)?;
    let at = code.modrm(site.insn.map) + if modrm.rm == 4 { 2 } else { 1 };
    Some((code, at))
}

/// A store to the stack hits another word of it.
fn stack(driver: &Driver, n: usize, random: &mut Random) -> Option<Change> {
    let site = driver.sites.get(n)?;
    let (mut code, at) = store(driver, site, true)?;
    let by = 8 * (1 + random.below(14) as u8);
    let byte = code.bytes.get_mut(at)?;
    *byte = byte.wrapping_add(by);
    code.done(site, format!("store to the stack moved by {}", by as i8))
}

/// A store to any other memory hits memory beside it.
fn heap(driver: &Driver, n: usize, random: &mut Random) -> Option<Change> {
    let site = driver.sites.get(n)?;
    let (mut code, at) = store(driver, site, false)?;
    let far = site.insn.modrm?.mode == 2;
    let byte = code.bytes.get_mut(at + usize::from(far))?;
    let by = 1 + random.below(if far { 31 } else { 127 }) as u8;
    *byte = byte.wrapping_add(by);
    let scale = if far { 256 } else { 1 };
    code.done(
        site,
        format!("store moved by {} bytes", i32::from(by as i8) * scale),
    )
}

/// Sets an argument of an import to another value, shortly before the call.
fn argument(driver: &Driver, n: usize, random: &mut Random) -> Option<Change> {
    let site = driver.sites.get(n)?;
    site.target.is_none().then_some(())?;
    let called = driver.sites.get(n + 1..)?.iter().take(6).find_map(|next| {
        let call = matches!(next.insn.kind, What::Call(_)) && next.function == site.function;
        let target = next
            .target
            .as_ref()
            .filter(|target| call && target.import)?;
        (!target.name.starts_with("__x86")).then(|| target.name.clone())
    })?;
    let mut code = code(driver, site)?;
    let rex = site.insn.prefixes.rex;
    // In the order of the arguments: RDI, RSI, RDX, RCX.
    let number = |register: u8| [7, 6, 2, 1].iter().position(|r| *r == register);
    match (site.insn.map, site.insn.opcode) {
        (Map::One, 0xb8..=0xbf) if rex & 1 == 0 && site.len() == code.opcode + 5 => {
            let number = number(site.insn.opcode & 7)?;
            let old = site.insn.immediate as u32;
            let bit = 1 << random.below(31);
            let new = *random.pick(&[0, u32::MAX, 0x7fff_ffff, old.wrapping_mul(2) + 1, old ^ bit]);
            let at = code.opcode + 1;
            code.bytes
                .get_mut(at..at + 4)?
                .copy_from_slice(&new.to_le_bytes());
            code.done(
                site,
                format!("argument {number} of {called}: {old:#x} became {new:#x}"),
            )
        }
        (Map::One, 0x89 | 0x8b | 0x31) => {
            let modrm = site.insn.modrm?;
            modrm.is_register().then_some(())?;
            let to = if site.insn.opcode == 0x8b {
                modrm.reg
            } else {
                modrm.rm
            };
            let high = if site.insn.opcode == 0x8b { 4 } else { 1 };
            (rex & high == 0).then_some(())?;
            let number = number(to)?;
            let at = code.modrm(Map::One);
            let shift = if site.insn.opcode == 0x8b { 0 } else { 3 };
            let old = if shift == 0 { modrm.rm } else { modrm.reg };
            let new = random.other(old);
            *code.bytes.get_mut(at)? ^= (old ^ new) << shift;
            code.done(
                site,
                format!("argument {number} of {called}: from register {new} instead of {old}"),
            )
        }
        _ => None,
    }
}

/// A direct call of an import, by name.
fn import_call<'d>(driver: &'d Driver, n: usize, names: &[&str]) -> Option<(&'d Site, usize)> {
    let site = driver.sites.get(n)?;
    matches!(site.insn.kind, What::Call(Target::Relative(_))).then_some(())?;
    let target = site.target.as_ref().filter(|target| target.import)?;
    names
        .contains(&target.name.as_str())
        .then_some((site, target.info))
}

/// Removes a call, and its relocation by the kind that does nothing.
fn drop_call(driver: &Driver, n: usize, names: &[&str]) -> Option<Change> {
    let (site, info) = import_call(driver, n, names)?;
    let name = &site.target.as_ref()?.name;
    Some((
        vec![(site.file, nops(site.len())), (info, vec![0; 4])],
        format!("call of {name} removed"),
    ))
}

/// Sends a call to another import of the driver's: its relocation names another symbol.
fn retarget(driver: &Driver, n: usize, names: &[&str], to: &[&str]) -> Option<Change> {
    let (site, info) = import_call(driver, n, names)?;
    let from = &site.target.as_ref()?.name;
    let (name, number) = to
        .iter()
        .find_map(|name| Some((*name, *driver.imports.get(*name)?)))?;
    (name != from).then_some(())?;
    // The symbol's number is the upper half of `r_info`.
    Some((
        vec![(info + 4, number.to_le_bytes().to_vec())],
        format!("call of {from} became one of {name}"),
    ))
}
