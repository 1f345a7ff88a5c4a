// SPDX-License-Identifier: GPL-2.0

//! The kernel's printf (Documentation/core-api/printk-formats.rst) on a driver's arguments.
//!
//! Pure: where words and memory come from is the caller's [`Args`], where the text goes its [`Sink`].
//! The rules are those of lib/vsprintf.c, which differ from the C library's: `%#x` of 0 is `0x0`,
//! `%.0d` of 0 is `0`, the flag `0` goes together with a precision, `%p` is padded with zeros.
//! Addresses of a domain are no secret, so `%p` prints them as they are instead of hashed. What
//! cannot be read shows as `(efault)`.

// Also a part of the host crate, where `pub` reaches further.
#![allow(unreachable_pub)]

use super::errname;
use super::format_pointer as pointer;
use core::fmt::Write;

/// Where a format's arguments come from.
pub trait Args {
    /// The next argument, as 64 bits.
    fn word(&mut self) -> u64;
    /// Reads memory of the driver; false if it cannot be read.
    fn bytes(&mut self, address: u64, into: &mut [u8]) -> bool;
    /// The name of the function that holds `address`, with the offset in it.
    fn symbol(&mut self, address: u64, out: &mut dyn Write);
    /// Goes on with the arguments of a `va_list` at `address` until [`Args::pop`]; false if it
    /// cannot be read or lists are nested too deeply.
    fn push(&mut self, address: u64) -> bool;
    /// Back to the arguments before [`Args::push`].
    fn pop(&mut self);
}

/// Where the text goes, byte by byte, as the driver wrote it.
pub trait Sink {
    /// Takes one byte.
    fn byte(&mut self, byte: u8);
}

/// Longest text of one converted pointer or nested format, in bytes.
const ROOM: usize = 512;
/// Longest string that `%s` prints, in bytes: a driver's missing NUL must not print all its memory.
const LONGEST: u64 = 1 << 16;
/// Longest text of one call in bytes, what nested formats add included.
pub const TEXT_MAX: usize = 1 << 16;
/// Most conversions of one call, those of nested formats included. A format alone has room for 255.
pub const CONVERSIONS_MAX: usize = 512;
/// Most addresses of one call that are shown by name: each is looked for in all of the driver's symbols.
const NAMES_MAX: usize = 16;
/// Largest width; precision goes as far as the kernel's. A driver gains nothing by more.
const MAX_WIDTH: i64 = 4096;
const MAX_PRECISION: i64 = 32767;
/// Values above are error numbers as pointers, as `IS_ERR_VALUE` has it.
const ERRORS: u64 = 4095u64.wrapping_neg();

/// Flags, width and precision of one conversion.
#[derive(Clone, Copy)]
pub(super) struct Spec {
    pub(super) left: bool,
    pub(super) plus: bool,
    pub(super) space: bool,
    pub(super) alternate: bool,
    pub(super) zero: bool,
    pub(super) signed: bool,
    pub(super) upper: bool,
    pub(super) base: u64,
    /// -1 for none.
    pub(super) width: i64,
    /// -1 for none.
    pub(super) precision: i64,
}

impl Spec {
    /// No flags; decimal.
    pub(super) const PLAIN: Spec = Spec {
        left: false,
        plus: false,
        space: false,
        alternate: false,
        zero: false,
        signed: false,
        upper: false,
        base: 10,
        width: -1,
        precision: -1,
    };

    /// `0x` and digits with leading zeros, `width` characters in all.
    pub(super) const fn hexadecimal(width: i64) -> Spec {
        Spec {
            alternate: true,
            zero: true,
            base: 16,
            width,
            ..Spec::PLAIN
        }
    }
}

/// A buffer for one converted argument.
pub(super) struct Text {
    bytes: [u8; ROOM],
    len: usize,
}

impl Text {
    pub(super) fn new() -> Self {
        Text {
            bytes: [0; ROOM],
            len: 0,
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

impl Sink for Text {
    fn byte(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        text.bytes().for_each(|byte| self.byte(byte));
        Ok(())
    }
}

/// A call's text on its way to where it goes, and how much more of it there may be: formats that are nested
/// in formats multiply what each of them asks for.
pub(super) struct Output<'a> {
    sink: &'a mut dyn Sink,
    /// Bytes that may still come.
    bytes: usize,
    /// Conversions that may still begin.
    conversions: usize,
    /// Addresses that may still be looked for.
    names: usize,
}

impl Output<'_> {
    /// Whether the text goes on; if not, it is cut here.
    fn goes_on(&self) -> bool {
        self.bytes > 0
    }

    /// Counts a conversion that begins. Whether it may.
    fn convert(&mut self) -> bool {
        let may = self.conversions > 0;
        self.conversions = self.conversions.saturating_sub(1);
        may
    }

    /// Counts an address that is to be shown by name. Whether it may.
    pub(super) fn name(&mut self) -> bool {
        let may = self.names > 0;
        self.names = self.names.saturating_sub(1);
        may
    }
}

impl Sink for Output<'_> {
    fn byte(&mut self, byte: u8) {
        if self.goes_on() {
            self.bytes -= 1;
            self.sink.byte(byte);
        }
    }
}

fn repeat(out: &mut dyn Sink, byte: u8, times: i64) {
    (0..times).for_each(|_| out.byte(byte));
}

/// A text that is known: cut at the precision, padded with spaces to the width.
pub(super) fn padded(out: &mut dyn Sink, spec: &Spec, text: &[u8]) {
    let text = match usize::try_from(spec.precision) {
        Ok(precision) => text.get(..precision).unwrap_or(text),
        Err(_) => text,
    };
    let fill = spec.width - text.len() as i64;
    if !spec.left {
        repeat(out, b' ', fill);
    }
    text.iter().for_each(|byte| out.byte(*byte));
    if spec.left {
        repeat(out, b' ', fill);
    }
}

/// A number, as number() of lib/vsprintf.c: `value` is sign-extended if the conversion is signed.
pub(super) fn number(out: &mut dyn Sink, spec: &Spec, value: u64) {
    let zero = spec.zero && !spec.left;
    let negative = spec.signed && (value as i64) < 0;
    let mut magnitude = if negative {
        value.wrapping_neg()
    } else {
        value
    };
    let sign = match spec.signed {
        true if negative => Some(b'-'),
        true if spec.plus => Some(b'+'),
        true if spec.space => Some(b' '),
        _ => None,
    };
    let prefix: &[u8] = match (spec.alternate, spec.base) {
        (true, 16) if spec.upper => b"0X",
        (true, 16) => b"0x",
        (true, 8) if magnitude != 0 => b"0",
        _ => b"",
    };
    // Never 0, which the compiler shall see.
    let base = core::cmp::max(spec.base, 2);
    let mut reversed = [0u8; 24];
    let mut count = 0;
    for place in &mut reversed {
        let digit = (magnitude % base) as u8;
        *place = match digit {
            0..=9 => b'0' + digit,
            _ if spec.upper => b'A' + digit - 10,
            _ => b'a' + digit - 10,
        };
        count += 1;
        magnitude /= base;
        if magnitude == 0 {
            break;
        }
    }
    let precision = core::cmp::max(spec.precision, count);
    let fill = spec.width - precision - prefix.len() as i64 - i64::from(sign.is_some());
    if !zero && !spec.left {
        repeat(out, b' ', fill);
    }
    if let Some(sign) = sign {
        out.byte(sign);
    }
    prefix.iter().for_each(|byte| out.byte(*byte));
    if zero {
        repeat(out, b'0', fill);
    }
    repeat(out, b'0', precision - count);
    let digits = reversed.get(..count as usize).unwrap_or(&[]);
    digits.iter().rev().for_each(|byte| out.byte(*byte));
    if spec.left {
        repeat(out, b' ', fill);
    }
}

/// What is printed instead of what a pointer to nowhere points to.
pub(super) fn nowhere(address: u64) -> Option<&'static [u8]> {
    match address {
        0 => Some(b"(null)"),
        1..=4095 | ERRORS.. => Some(b"(efault)"),
        _ => None,
    }
}

/// The length of the string at `address`, at most `limit`; none if not even its beginning can be
/// read. A string ends where memory does.
fn length(args: &mut dyn Args, address: u64, limit: u64) -> Option<u64> {
    let mut chunk = [0; 64];
    let mut len = 0;
    while len < limit {
        let at = address.wrapping_add(len);
        // Never across a page: the next one may not be there.
        let part = core::cmp::min(64 - at % 64, limit - len) as usize;
        let part = chunk.get_mut(..part).unwrap_or(&mut []);
        if !args.bytes(at, part) {
            return (len > 0).then_some(len);
        }
        if let Some(end) = part.iter().position(|byte| *byte == 0) {
            return Some(len + end as u64);
        }
        len += part.len() as u64;
    }
    Some(limit)
}

pub(super) fn string(args: &mut dyn Args, out: &mut dyn Sink, spec: &Spec, address: u64) {
    if let Some(text) = nowhere(address) {
        return padded(out, spec, text);
    }
    let limit = u64::try_from(spec.precision).map_or(LONGEST, |limit| limit.min(LONGEST));
    let Some(len) = length(args, address, limit) else {
        return padded(out, spec, b"(efault)");
    };
    let fill = spec.width - len as i64;
    if !spec.left {
        repeat(out, b' ', fill);
    }
    let mut chunk = [0; 64];
    let mut done = 0;
    while done < len {
        let at = address.wrapping_add(done);
        let part = core::cmp::min(64 - at % 64, len - done) as usize;
        let part = chunk.get_mut(..part).unwrap_or(&mut []);
        // What was there a moment ago is not any more: the length is kept.
        if !args.bytes(at, part) {
            part.fill(b'?');
        }
        part.iter().for_each(|byte| out.byte(*byte));
        done += part.len() as u64;
    }
    if spec.left {
        repeat(out, b' ', fill);
    }
}

/// An address in hexadecimal, with leading zeros unless a width is given.
pub(super) fn address(out: &mut dyn Sink, spec: &Spec, value: u64) {
    let mut spec = Spec { base: 16, ..*spec };
    if spec.width < 0 {
        spec.width = 16;
        spec.zero = true;
    }
    number(out, &spec, value);
}

/// `%pe`: the name of an error number that is a pointer.
pub(super) fn error_pointer(out: &mut dyn Sink, spec: &Spec, value: u64) {
    if value < ERRORS {
        return address(out, spec, value);
    }
    match errname::name(value.wrapping_neg()) {
        Some(name) => {
            let mut text = Text::new();
            text.byte(b'-');
            let _ = text.write_str(name);
            padded(out, spec, text.as_bytes());
        }
        None => {
            let spec = Spec {
                signed: true,
                base: 10,
                ..*spec
            };
            number(out, &spec, value);
        }
    }
}

/// `%pV`: struct va_format holds a format, then a pointer to a va_list.
pub(super) fn nested(args: &mut dyn Args, out: &mut Output<'_>, address: u64) -> bool {
    let mut both = [0; 16];
    if !args.bytes(address, &mut both) {
        return false;
    }
    let (template, list) = (pointer::word(&both, 0), pointer::word(&both, 8));
    let mut room = [0; ROOM];
    let Some(len) = length(args, template, ROOM as u64) else {
        return false;
    };
    let text = room.get_mut(..len as usize).unwrap_or(&mut []);
    if !args.bytes(template, text) || !args.push(list) {
        return false;
    }
    convert_all(text, args, out);
    args.pop();
    true
}

/// Formats `template` with `args` into `out`. A text that is longer than [`TEXT_MAX`] or takes more than
/// [`CONVERSIONS_MAX`] conversions is cut there.
pub fn format(template: &[u8], args: &mut dyn Args, out: &mut dyn Sink) {
    let mut out = Output {
        sink: out,
        bytes: TEXT_MAX,
        conversions: CONVERSIONS_MAX,
        names: NAMES_MAX,
    };
    convert_all(template, args, &mut out);
}

/// Formats `template`, which may be nested in another.
fn convert_all(template: &[u8], args: &mut dyn Args, out: &mut Output<'_>) {
    let mut rest = template;
    while let (Some((&byte, tail)), true) = (rest.split_first(), out.goes_on()) {
        rest = tail;
        if byte != b'%' {
            out.byte(byte);
            continue;
        }
        if !out.convert() {
            return;
        }
        let mut spec = Spec::PLAIN;
        while let Some((&flag, tail)) = rest.split_first() {
            match flag {
                b'-' => spec.left = true,
                b'+' => spec.plus = true,
                b' ' => spec.space = true,
                b'#' => spec.alternate = true,
                b'0' => spec.zero = true,
                _ => break,
            }
            rest = tail;
        }
        if let Some(width) = count(&mut rest, args) {
            spec.left |= width < 0;
            spec.width = width.abs().min(MAX_WIDTH);
        }
        if let Some((b'.', tail)) = rest.split_first() {
            rest = tail;
            // A point with nothing behind it says nothing.
            if let Some(precision) = count(&mut rest, args) {
                spec.precision = precision.clamp(0, MAX_PRECISION);
            }
        }
        let size = size(&mut rest);
        let Some((&kind, tail)) = rest.split_first() else {
            return;
        };
        rest = tail;
        match kind {
            b'd' | b'i' | b'u' | b'x' | b'X' | b'o' => {
                spec.signed = matches!(kind, b'd' | b'i');
                spec.upper = kind == b'X';
                spec.base = match kind {
                    b'x' | b'X' => 16,
                    b'o' => 8,
                    _ => 10,
                };
                let value = cut(args.word(), size, spec.signed);
                number(out, &spec, value);
            }
            b'c' => {
                let value = args.word() as u8;
                let spec = Spec {
                    precision: -1,
                    ..spec
                };
                padded(out, &spec, &[value]);
            }
            b's' => {
                let address = args.word();
                string(args, out, &spec, address);
            }
            b'p' => {
                pointer::pointer(args, out, &spec, rest);
                let letters = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric());
                rest = rest.get(letters.count()..).unwrap_or(&[]);
            }
            b'%' => out.byte(b'%'),
            // The kernel stops at what it does not know, since the arguments are then out of step.
            _ => return,
        }
    }
}

/// The low `size` bytes of `value`, sign-extended if asked.
fn cut(value: u64, size: u32, signed: bool) -> u64 {
    let unused = 64 - size * 8;
    let high = value << unused;
    match signed {
        true => ((high as i64) >> unused) as u64,
        false => high >> unused,
    }
}

/// The length modifier: the size of an integer in bytes.
fn size(rest: &mut &[u8]) -> u32 {
    let (used, size) = match rest {
        [b'h', b'h', ..] => (2, 1),
        [b'l', b'l', ..] => (2, 8),
        [b'H', ..] => (1, 1),
        [b'h', ..] => (1, 2),
        [b'l' | b'L' | b'z' | b't', ..] => (1, 8),
        _ => (0, 4),
    };
    *rest = rest.get(used..).unwrap_or(&[]);
    size
}

/// A width or precision: digits or `*`.
fn count(rest: &mut &[u8], args: &mut dyn Args) -> Option<i64> {
    if let Some((b'*', tail)) = rest.split_first() {
        *rest = tail;
        return Some(i64::from(args.word() as i32));
    }
    let mut value = None;
    while let Some((&digit @ b'0'..=b'9', tail)) = rest.split_first() {
        *rest = tail;
        let so_far: i64 = value.unwrap_or(0);
        value = Some((so_far * 10 + i64::from(digit - b'0')).min(1 << 30));
    }
    value
}

/// Splits the level that `KERN_*` puts in front of a format: SOH and a digit, or `c` for a
/// continued line.
pub fn level(template: &[u8]) -> (Option<u8>, &[u8]) {
    match template {
        [1, level @ (b'0'..=b'7' | b'c' | b'd'), rest @ ..] => (Some(*level), rest),
        _ => (None, template),
    }
}
