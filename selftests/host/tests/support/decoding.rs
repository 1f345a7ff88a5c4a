// SPDX-License-Identifier: GPL-2.0

//! Any bytes as what a driver says to the kernel: the arguments of a call, the claims of a packet,
//! entries of a ring, writes to configuration space, formats, tokens of pages, requests. The host
//! tests and the fuzz target both run it: nothing panics, also by no overflow, and what is accepted
//! is what a slower look at each byte accepts.

use super::arguments::{check, range, Arg, Claims, Kind, Use};
use super::config_space::{device_dependent, judge, Bytes, Role, Verdict};
use super::contract::{address_to_page, page_to_address, stub_address, stub_index, DOMAIN_END};
use super::{format, packet, request, rings};

/// Bytes of an input, one after the other; zero behind its end.
pub struct Input<'a>(pub &'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// A number: as it lies there, or near a place where something begins or ends.
    fn number(&mut self) -> u64 {
        const EDGES: [u64; 16] = [
            0,
            0x1000,
            0x2000,
            0x5000,
            0x1_0000,
            0x2000_0000,
            0x7000_0000,
            DOMAIN_END,
            1 << 31,
            1 << 32,
            1 << 47,
            1 << 63,
            0xffff_8880_0000_0000,
            0xffff_ffff_8100_0000,
            u64::MAX - 0xfff,
            u64::MAX,
        ];
        let kind = self.byte();
        match kind & 3 {
            0 => u64::from(self.byte()),
            1 => (0..8).fold(0, |all, _| (all << 8) | u64::from(self.byte())),
            _ => {
                let near = self.byte() as i8;
                EDGES[usize::from(kind >> 4)].wrapping_add_signed(near.into())
            }
        }
    }
}

/// A domain whose pages are what the bits of a number say, two for each, from page 1 on.
struct Pages(u64);

impl Claims for Pages {
    fn page(&self, address: u64) -> Option<Use> {
        let page = address >> 12;
        if page == 0 || page > 32 {
            return None;
        }
        match (self.0 >> (2 * (page - 1))) & 3 {
            0 => None,
            1 => Some(Use::Read),
            2 => Some(Use::Write),
            _ => Some(Use::Execute),
        }
    }
}

/// [`range`] byte by byte.
fn slow_range(pages: &Pages, address: u64, len: u64, write: bool) -> bool {
    // More than there is memory cannot fit.
    len <= 64 << 12
        && (0..len).all(|n| match address.checked_add(n) {
            Some(at) => match pages.page(at) {
                Some(found) => !write || found == Use::Write,
                None => false,
            },
            None => false,
        })
}

fn arguments(input: &mut Input<'_>) {
    let pages = Pages(input.number() ^ (input.number() << 20));
    let (address, len, write) = (input.number(), input.number(), input.byte() & 1 == 1);
    assert_eq!(
        range(&pages, address, len, write).is_ok(),
        slow_range(&pages, address, len, write),
        "{address:#x} {len:#x}"
    );
    let mut args = [Arg::Word; 6];
    let mut values = [0; 6];
    for n in 0..6 {
        values[n] = input.number();
        args[n] = match input.byte() % 10 {
            0 => Arg::Word,
            1 => Arg::Addr,
            2 => Arg::AddrOrNull,
            3 => Arg::Str,
            4 => Arg::StrOrNull,
            5 => Arg::Fn,
            6 => Arg::FnOrNull,
            7 => Arg::Buf(input.byte() % 6),
            8 => Arg::Obj(Kind::SkBuff),
            _ => Arg::Format,
        };
    }
    let fits = |n: usize| {
        let value = values[n];
        let memory = |len| slow_range(&pages, value, len, false);
        match args[n] {
            Arg::Word | Arg::Obj(_) | Arg::Format => true,
            Arg::Addr | Arg::Str => memory(1),
            Arg::AddrOrNull | Arg::StrOrNull => value == 0 || memory(1),
            Arg::Fn => pages.page(value) == Some(Use::Execute),
            Arg::FnOrNull => value == 0 || pages.page(value) == Some(Use::Execute),
            Arg::Buf(other) => memory(values[usize::from(other)]),
        }
    };
    let answer = check(&args, |n| values[n], &pages);
    assert_eq!(answer.is_ok(), (0..6).all(fits), "{args:?} {values:x?}");
    if let Err((rule, _)) = answer {
        assert!(["bad-pointer", "bad-function"].contains(&rule));
    }
}

fn packets(input: &mut Input<'_>) {
    let head = 0x3000_0000 + u64::from(input.byte()) * 64;
    let end = head + input.number() % (1 << 18);
    let data = match input.byte() & 1 {
        0 => head.wrapping_add_signed(i64::from(input.byte() as i8)),
        _ => input.number(),
    };
    let (len, paged) = (input.number() as u32, input.number() as u32);
    let pulled = input.byte() & 1 == 1;
    if let Ok(frame) = packet::received(head, end, data, len, paged, pulled) {
        assert!(frame.start >= head && frame.start + u64::from(frame.linear) <= end);
        let total = u64::from(frame.linear) + u64::from(frame.paged);
        assert!((u64::from(packet::ETH_HLEN)..=u64::from(packet::MAX_FRAME)).contains(&total));
    }
    assert!(packet::header_length(input.0) <= input.0.len());
    let offset = input.number() as u16;
    let moved = packet::Moved::new(input.number() as u32, input.number() as u32);
    let _ = moved.offset(offset);
    let value = input.number();
    assert!((-4095..=0).contains(&packet::status(value)));
    assert!((-4095..=9).contains(&packet::status_up_to(value, 9)));
    let mut whole = packet::Sum::default();
    whole.add(input.0);
    let mut parts = packet::Sum::default();
    let cut = usize::from(input.byte()).min(input.0.len());
    let mut again = packet::Sum::default();
    again.add(input.0);
    parts.add(&input.0[..cut]);
    parts.add(&input.0[cut..]);
    assert_eq!(parts.mangled(), again.mangled());
}

fn shared_words(input: &mut Input<'_>) {
    let words = [(); 4].map(|()| input.number());
    if let Some(entry) = rings::decode(words) {
        assert!(entry.number < rings::HYBRIDS.len() && entry.args == words[1..]);
    }
    assert!(rings::pending(words[0]) <= rings::RING_ENTRIES.min(words[0]));
    assert!(rings::left(words[1]) <= rings::POOL_ENTRIES.min(words[1]));
    assert!(rings::iova_slot(words[2]) + rings::IOVA_WAYS <= rings::IOVA_SLOTS);
    if let Some(address) = page_to_address(words[0]) {
        assert!(address < DOMAIN_END && address % 4096 == 0);
        assert_eq!(address_to_page(address), words[0]);
    }
    if let Some(index) = stub_index(words[1]) {
        assert_eq!(stub_address(index) + 2, words[1]);
    }
}

fn configuration(input: &mut Input<'_>) {
    let role = match input.byte() & 1 {
        0 => Role::Own,
        _ => Role::Bridge,
    };
    let express = u32::from(input.byte());
    let (offset, size) = (
        input.number() as u32,
        [1, 2, 4][usize::from(input.byte() % 3)],
    );
    let (old, new) = (input.number() as u32, input.number() as u32);
    let space: [u8; 256] = std::array::from_fn(|_| input.byte());
    let free = device_dependent(|at| space.get(at as usize).copied());
    if role == Role::Own && space[0x0e] & 0x7f != 0 {
        assert_eq!(free, Bytes::NONE);
    }
    if let Verdict::Write(value) = judge(role, express, &free, offset, size, old, new) {
        for n in 0..size as u32 {
            let at = offset.wrapping_add(n);
            let changed = ((old ^ value) >> (8 * n)) as u8;
            // BARs, ROM, capability pointer, interrupt line and pin.
            if (0x10..0x40).contains(&at) && at < express {
                assert_eq!(changed, 0, "{at:#x}");
            }
            // Memory and port decoding, bus mastering.
            assert!(at != 4 || changed & 7 == 0);
        }
    }
}

/// Arguments of a format, from the input; memory is the input as well.
struct Words<'a, 'b>(&'a mut Input<'b>, u8);

impl format::Args for Words<'_, '_> {
    fn word(&mut self) -> u64 {
        self.0.number()
    }
    fn bytes(&mut self, address: u64, into: &mut [u8]) -> bool {
        if address % 7 == 0 {
            return false;
        }
        into.fill_with(|| self.0.byte());
        true
    }
    fn symbol(&mut self, address: u64, out: &mut dyn std::fmt::Write) {
        let _ = write!(out, "f+{address:#x}");
    }
    fn push(&mut self, _address: u64) -> bool {
        self.1 += 1;
        self.1 < 4
    }
    fn pop(&mut self) {}
}

struct Count(usize);

impl format::Sink for Count {
    fn byte(&mut self, _byte: u8) {
        self.0 += 1;
    }
}

fn formats(input: &mut Input<'_>) {
    let len = usize::from(input.byte() % 64).min(input.0.len());
    let (template, rest) = input.0.split_at(len);
    let mut args = Input(rest);
    let mut out = Count(0);
    let (_, template) = format::level(template);
    format::format(template, &mut Words(&mut args, 0), &mut out);
    // No call prints more than its bound, whatever the driver asks for.
    assert!(out.0 <= format::TEXT_MAX, "{}", out.0);
}

fn requests(input: &mut Input<'_>) {
    let (line, _) = request::split(input.0);
    if let Ok(one) = request::parse(line) {
        assert!(!one.path.is_empty());
    }
}

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    match input.byte() % 6 {
        0 => arguments(&mut input),
        1 => packets(&mut input),
        2 => shared_words(&mut input),
        3 => configuration(&mut input),
        4 => formats(&mut input),
        _ => requests(&mut input),
    }
}
