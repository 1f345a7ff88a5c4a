// SPDX-License-Identifier: GPL-2.0

//! The kernel's printf (Documentation/core-api/printk-formats.rst) on a driver's arguments.
//!
//! Pure: where words and memory come from is the caller's [`Args`], where the text goes its sink.
//! Addresses of a domain are no secret, so `%p` prints them as they are. What cannot be read shows
//! as `(efault)`, and output is never longer than the sink takes.

// Also a part of the host crate, where `pub` reaches further.
#![allow(unreachable_pub)]

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

/// Longest string that `%s` prints in bytes.
const LONGEST: usize = 512;

/// Flags, width and precision of one conversion.
#[derive(Clone, Copy, Default)]
struct Spec {
    left: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
    /// Size of an integer argument in bytes.
    size: u8,
}

/// A buffer for one converted argument.
struct Text {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Text {
    fn new() -> Self {
        Text {
            bytes: [0; LONGEST],
            len: 0,
        }
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        text.bytes().for_each(|byte| self.push(byte));
        Ok(())
    }
}

fn put(out: &mut dyn Write, byte: u8) {
    // Only printable text and line ends reach the log; the rest is shown as the kernel does not.
    let c = match byte {
        b'\n' | b'\t' | 0x20..=0x7e => byte as char,
        _ => '?',
    };
    let _ = out.write_char(c);
}

fn pad(out: &mut dyn Write, spec: &Spec, text: &[u8]) {
    let fill = spec.width.saturating_sub(text.len());
    if !spec.left {
        (0..fill).for_each(|_| put(out, b' '));
    }
    text.iter().for_each(|byte| put(out, *byte));
    if spec.left {
        (0..fill).for_each(|_| put(out, b' '));
    }
}

fn digits(mut value: u64, base: u64, upper: bool, out: &mut Text) {
    let mut reversed = [0u8; 64];
    let mut n = 0;
    loop {
        let digit = (value % base) as u8;
        reversed[n] = match digit {
            0..=9 => b'0' + digit,
            _ if upper => b'A' + digit - 10,
            _ => b'a' + digit - 10,
        };
        n += 1;
        value /= base;
        if value == 0 {
            break;
        }
    }
    reversed[..n].iter().rev().for_each(|byte| out.push(*byte));
}

fn number(out: &mut dyn Write, spec: &Spec, value: u64, kind: u8) {
    let bits = u32::from(spec.size) * 8;
    let signed = matches!(kind, b'd' | b'i');
    let cut = if bits >= 64 {
        value
    } else {
        value & ((1 << bits) - 1)
    };
    let negative = signed && cut >> (bits - 1) & 1 != 0;
    let magnitude = match negative {
        true if bits >= 64 => cut.wrapping_neg(),
        true => (1 << bits) - cut,
        false => cut,
    };
    let mut body = Text::new();
    if magnitude != 0 || spec.precision != Some(0) {
        let base = match kind {
            b'x' | b'X' => 16,
            b'o' => 8,
            _ => 10,
        };
        digits(magnitude, base, kind == b'X', &mut body);
    }
    let mut sign = Text::new();
    if negative {
        sign.push(b'-');
    } else if signed && spec.plus {
        sign.push(b'+');
    } else if signed && spec.space {
        sign.push(b' ');
    }
    if spec.alternate && magnitude != 0 {
        match kind {
            b'x' => sign.write_str("0x").unwrap_or(()),
            b'X' => sign.write_str("0X").unwrap_or(()),
            b'o' => sign.push(b'0'),
            _ => {}
        }
    }
    let mut zeros = spec.precision.unwrap_or(0).saturating_sub(body.len);
    if spec.zero && !spec.left && spec.precision.is_none() {
        zeros = spec.width.saturating_sub(sign.len + body.len);
    }
    let mut all = Text::new();
    sign.as_bytes().iter().for_each(|byte| all.push(*byte));
    (0..zeros.min(LONGEST)).for_each(|_| all.push(b'0'));
    body.as_bytes().iter().for_each(|byte| all.push(*byte));
    pad(out, spec, all.as_bytes());
}

fn string(args: &mut dyn Args, out: &mut dyn Write, spec: &Spec, address: u64) {
    let limit = spec.precision.unwrap_or(LONGEST).min(LONGEST);
    let mut text = Text::new();
    if address < 4096 {
        let _ = text.write_str("(null)");
        text.len = text.len.min(limit);
        return pad(out, spec, text.as_bytes());
    }
    let mut byte = [0];
    while text.len < limit {
        if !args.bytes(address.wrapping_add(text.len as u64), &mut byte) {
            if text.len == 0 {
                let _ = text.write_str("(efault)");
            }
            break;
        }
        if byte[0] == 0 {
            break;
        }
        text.push(byte[0]);
    }
    pad(out, spec, text.as_bytes());
}

fn hex(text: &mut Text, bytes: &[u8], separator: Option<u8>) {
    for (n, byte) in bytes.iter().enumerate() {
        if let (Some(separator), true) = (separator, n > 0) {
            text.push(separator);
        }
        let _ = write!(text, "{byte:02x}");
    }
}

fn ipv6(text: &mut Text, bytes: &[u8; 16], compressed: bool, colons: bool) {
    let mut groups = [0u16; 8];
    for (group, pair) in groups.iter_mut().zip(bytes.chunks_exact(2)) {
        *group = u16::from_be_bytes([pair[0], pair[1]]);
    }
    // The longest run of at least two zero groups becomes "::".
    let (mut start, mut length) = (8, 1);
    if compressed {
        for n in 0..8 {
            let run = groups[n..].iter().take_while(|group| **group == 0).count();
            if run > length {
                (start, length) = (n, run);
            }
        }
    }
    let mut n = 0;
    let mut separate = false;
    while n < 8 {
        if n == start {
            let _ = text.write_str("::");
            n += length;
            separate = false;
            continue;
        }
        if separate && colons {
            text.push(b':');
        }
        let _ = match compressed {
            true => write!(text, "{:x}", groups[n]),
            false => write!(text, "{:04x}", groups[n]),
        };
        separate = true;
        n += 1;
    }
}

/// `%p` and its extensions: `rest` is the format after the `p`. Returns the letters used up.
fn pointer(args: &mut dyn Args, out: &mut dyn Write, spec: &Spec, rest: &[u8]) -> usize {
    let address = args.word();
    let letter = rest.first().copied().unwrap_or(0);
    let used = rest
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric())
        .count();
    let mut text = Text::new();
    let mut six = [0; 6];
    let mut sixteen = [0; 16];
    match letter {
        b'M' | b'm' => {
            let order = rest.get(1).copied().filter(|b| matches!(b, b'F' | b'R'));
            if args.bytes(address, &mut six) {
                if order == Some(b'R') {
                    six.reverse();
                }
                let separator = match (letter, order) {
                    (b'm', _) => None,
                    (_, Some(b'F')) => Some(b'-'),
                    _ => Some(b':'),
                };
                hex(&mut text, &six, separator);
            } else {
                let _ = text.write_str("(efault)");
            }
            pad(out, spec, text.as_bytes());
            1 + usize::from(order.is_some())
        }
        b'I' | b'i' if rest.get(1) == Some(&b'4') => {
            let mut four = [0; 4];
            if args.bytes(address, &mut four) {
                let [a, b, c, d] = four;
                let _ = match letter {
                    b'I' => write!(text, "{a}.{b}.{c}.{d}"),
                    _ => write!(text, "{a:03}.{b:03}.{c:03}.{d:03}"),
                };
            } else {
                let _ = text.write_str("(efault)");
            }
            pad(out, spec, text.as_bytes());
            used.min(3)
        }
        b'I' | b'i' if rest.get(1) == Some(&b'6') => {
            let compressed = letter == b'I' && rest.get(2) == Some(&b'c');
            if args.bytes(address, &mut sixteen) {
                ipv6(&mut text, &sixteen, compressed, letter == b'I');
            } else {
                let _ = text.write_str("(efault)");
            }
            pad(out, spec, text.as_bytes());
            2 + usize::from(compressed)
        }
        b'h' => {
            let separator = match rest.get(1) {
                Some(b'C') => Some(b':'),
                Some(b'D') => Some(b'-'),
                Some(b'N') => None,
                _ => Some(b' '),
            };
            let mut buffer = [0; 64];
            let len = spec.width.clamp(1, 64);
            let part = buffer.get_mut(..len).unwrap_or(&mut []);
            if args.bytes(address, part) {
                hex(&mut text, part, separator);
            } else {
                let _ = text.write_str("(efault)");
            }
            pad(out, &Spec::default(), text.as_bytes());
            1 + usize::from(matches!(rest.get(1), Some(b'C' | b'D' | b'N')))
        }
        b'e' => {
            let _ = write!(text, "{}", address as i64);
            pad(out, spec, text.as_bytes());
            1
        }
        b'S' | b's' | b'B' => {
            args.symbol(address, &mut text);
            pad(out, spec, text.as_bytes());
            used.clamp(1, 2)
        }
        b'a' => {
            let mut eight = [0; 8];
            if args.bytes(address, &mut eight) {
                let _ = write!(text, "{:#018x}", u64::from_le_bytes(eight));
            } else {
                let _ = text.write_str("(efault)");
            }
            pad(out, spec, text.as_bytes());
            used.min(2)
        }
        b'U' => {
            if args.bytes(address, &mut sixteen) {
                let swapped = !matches!(rest.get(1), Some(b'b' | b'B'));
                if swapped {
                    sixteen[..4].reverse();
                    sixteen[4..6].reverse();
                    sixteen[6..8].reverse();
                }
                for (n, byte) in sixteen.iter().enumerate() {
                    if matches!(n, 4 | 6 | 8 | 10) {
                        text.push(b'-');
                    }
                    let _ = write!(text, "{byte:02x}");
                }
            } else {
                let _ = text.write_str("(efault)");
            }
            pad(out, spec, text.as_bytes());
            used.min(2)
        }
        b'V' => {
            // struct va_format: the format, then a pointer to a va_list.
            let mut both = [0; 16];
            if args.bytes(address, &mut both) {
                let word =
                    |at: usize| u64::from_le_bytes(both[at..at + 8].try_into().unwrap_or([0; 8]));
                let (nested, list) = (word(0), word(8));
                let mut text = Text::new();
                let mut byte = [0];
                while args.bytes(nested.wrapping_add(text.len as u64), &mut byte)
                    && byte[0] != 0
                    && text.len < LONGEST - 1
                {
                    text.push(byte[0]);
                }
                if args.push(list) {
                    format(text.as_bytes(), args, out);
                    args.pop();
                }
            }
            1
        }
        b'r' | b'R' => {
            // struct resource: start and end come first.
            if args.bytes(address, &mut sixteen) {
                let word = |at: usize| {
                    u64::from_le_bytes(sixteen[at..at + 8].try_into().unwrap_or([0; 8]))
                };
                let _ = write!(text, "[{:#x}-{:#x}]", word(0), word(8));
            } else {
                let _ = text.write_str("(efault)");
            }
            pad(out, spec, text.as_bytes());
            1
        }
        b'N' if rest.get(1) == Some(&b'F') => {
            let mut eight = [0; 8];
            if args.bytes(address, &mut eight) {
                let _ = write!(text, "{:#018x}", u64::from_le_bytes(eight));
            }
            pad(out, spec, text.as_bytes());
            2
        }
        _ => {
            let _ = write!(text, "{address:016x}");
            pad(out, spec, text.as_bytes());
            usize::from(matches!(letter, b'x' | b'K'))
        }
    }
}

/// Formats `template` with `args` into `out`.
pub fn format(template: &[u8], args: &mut dyn Args, out: &mut dyn Write) {
    let mut rest = template;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            put(out, byte);
            continue;
        }
        let mut spec = Spec {
            size: 4,
            ..Spec::default()
        };
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
        spec.width = count(&mut rest, args, &mut spec.left).unwrap_or(0);
        if let Some((b'.', tail)) = rest.split_first() {
            rest = tail;
            let mut negative = false;
            let precision = count(&mut rest, args, &mut negative).unwrap_or(0);
            spec.precision = (!negative).then_some(precision);
        }
        while let Some((&letter, tail)) = rest.split_first() {
            spec.size = match (letter, spec.size) {
                (b'h', 2) => 1,
                (b'h', _) => 2,
                (b'l' | b'L' | b'q' | b'z' | b'Z' | b't' | b'j', _) => 8,
                _ => break,
            };
            rest = tail;
        }
        let Some((&kind, tail)) = rest.split_first() else {
            return;
        };
        rest = tail;
        match kind {
            b'd' | b'i' | b'u' | b'x' | b'X' | b'o' => {
                let value = args.word();
                number(out, &spec, value, kind);
            }
            b'c' => {
                let value = args.word() as u8;
                pad(out, &spec, &[value]);
            }
            b's' => {
                let address = args.word();
                string(args, out, &spec, address);
            }
            b'p' => {
                let used = pointer(args, out, &spec, rest);
                rest = rest.get(used..).unwrap_or(&[]);
            }
            b'%' => put(out, b'%'),
            // The kernel stops at what it does not know, since the arguments are then out of step.
            _ => return,
        }
    }
}

/// A width or precision: digits or `*`. At most 999.
fn count(rest: &mut &[u8], args: &mut dyn Args, left: &mut bool) -> Option<usize> {
    if let Some((b'*', tail)) = rest.split_first() {
        *rest = tail;
        let value = args.word() as i32;
        *left |= value < 0;
        return Some((value.unsigned_abs() as usize).min(999));
    }
    let mut value = None;
    while let Some((&digit @ b'0'..=b'9', tail)) = rest.split_first() {
        *rest = tail;
        value = Some((value.unwrap_or(0) * 10 + usize::from(digit - b'0')).min(999));
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
