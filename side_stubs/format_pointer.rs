// SPDX-License-Identifier: GPL-2.0

//! The extensions of `%p` that drivers use, for `format`.

use super::format::{
    address, error_pointer, nested, nowhere, number, padded, string, Args, Output, Sink, Spec, Text,
};
use core::fmt::Write;

const IORESOURCE_IO: u64 = 0x100;
const IORESOURCE_MEM: u64 = 0x200;
const IORESOURCE_IRQ: u64 = 0x400;
const IORESOURCE_DMA: u64 = 0x800;
const IORESOURCE_BUS: u64 = 0x1000;
const IORESOURCE_PREFETCH: u64 = 0x2000;
const IORESOURCE_MEM_64: u64 = 0x10_0000;
const IORESOURCE_WINDOW: u64 = 0x20_0000;
const IORESOURCE_DISABLED: u64 = 0x1000_0000;
const IORESOURCE_UNSET: u64 = 0x2000_0000;

/// The little-endian word at `at` of `bytes`.
pub(super) fn word(bytes: &[u8], at: usize) -> u64 {
    let part = bytes.get(at..at + 8).and_then(|part| part.try_into().ok());
    u64::from_le_bytes(part.unwrap_or([0; 8]))
}

fn hex(text: &mut Text, bytes: &[u8], separator: Option<u8>, upper: bool) {
    for (n, byte) in bytes.iter().enumerate() {
        if let (Some(separator), true) = (separator, n > 0) {
            text.byte(separator);
        }
        let _ = match upper {
            true => write!(text, "{byte:02X}"),
            false => write!(text, "{byte:02x}"),
        };
    }
}

fn mac(text: &mut Text, bytes: &mut [u8], rest: &[u8]) {
    let order = rest.get(1).copied();
    if order == Some(b'R') {
        bytes.reverse();
    }
    let upper = match order {
        Some(b'F' | b'R') => rest.get(2) == Some(&b'U'),
        other => other == Some(b'U'),
    };
    let separator = match (rest.first(), order) {
        (Some(b'm'), _) => None,
        (_, Some(b'F')) => Some(b'-'),
        _ => Some(b':'),
    };
    hex(text, bytes, separator, upper);
}

fn ipv4(text: &mut Text, bytes: &[u8], leading: bool, backwards: bool) {
    for n in 0..4 {
        let at = if backwards { 3 - n } else { n };
        let byte = bytes.get(at).copied().unwrap_or(0);
        if n > 0 {
            text.byte(b'.');
        }
        let _ = match leading {
            true => write!(text, "{byte:03}"),
            false => write!(text, "{byte}"),
        };
    }
}

fn ipv6(text: &mut Text, bytes: &[u8], compressed: bool, colons: bool) {
    let mut groups = [0u16; 8];
    for (group, pair) in groups.iter_mut().zip(bytes.chunks_exact(2)) {
        *group = u16::from_be_bytes([pair[0], pair[1]]);
    }
    // An IPv4 address in IPv6 (mapped, or of ISATAP) shows as one.
    let mapped = groups[..5] == [0; 5] && groups[5] == 0xffff;
    let tunnelled = groups[4] | 0x200 == 0x200 && groups[5] == 0x5efe;
    let old = compressed && (mapped || tunnelled);
    let range = if old { 6 } else { 8 };
    // The longest run of at least two zero groups becomes "::".
    let (mut start, mut length) = (8, 1);
    if compressed {
        for n in 0..range {
            let run = groups[n..range].iter().take_while(|group| **group == 0);
            let run = run.count();
            if run > length {
                (start, length) = (n, run);
            }
        }
    }
    let mut n = 0;
    let mut separate = false;
    while n < range {
        if n == start {
            let _ = text.write_str("::");
            n += length;
            separate = false;
            continue;
        }
        if separate && colons {
            text.byte(b':');
        }
        let _ = match compressed {
            true => write!(text, "{:x}", groups[n]),
            false => write!(text, "{:04x}", groups[n]),
        };
        separate = true;
        n += 1;
    }
    if old {
        if separate {
            text.byte(b':');
        }
        ipv4(text, bytes.get(12..).unwrap_or(&[]), false, false);
    }
}

fn uuid(text: &mut Text, bytes: &mut [u8], letter: Option<&u8>) {
    if matches!(letter, Some(b'l' | b'L')) {
        bytes[..4].reverse();
        bytes[4..6].reverse();
        bytes[6..8].reverse();
    }
    let upper = matches!(letter, Some(b'B' | b'L'));
    for (n, byte) in bytes.iter().enumerate() {
        if matches!(n, 4 | 6 | 8 | 10) {
            text.byte(b'-');
        }
        hex(text, &[*byte], None, upper);
    }
}

/// struct resource begins with start, end, name and flags.
fn resource(text: &mut Text, bytes: &[u8], mut decode: bool) {
    let (start, end, flags) = (word(bytes, 0), word(bytes, 8), word(bytes, 24));
    let memory = Spec::hexadecimal(10);
    let bus = Spec {
        alternate: false,
        width: 2,
        ..memory
    };
    let kinds: [(u64, &str, Spec); 5] = [
        (IORESOURCE_IO, "io  ", Spec::hexadecimal(6)),
        (IORESOURCE_MEM, "mem ", memory),
        (IORESOURCE_IRQ, "irq ", Spec::PLAIN),
        (IORESOURCE_DMA, "dma ", Spec::PLAIN),
        (IORESOURCE_BUS, "bus ", bus),
    ];
    let known = kinds.iter().find(|(flag, ..)| flags & flag != 0);
    decode &= known.is_some();
    let (name, spec) = known.map_or(("??? ", memory), |(_, name, spec)| (*name, *spec));
    let _ = write!(text, "[{name}");
    if decode && flags & IORESOURCE_UNSET != 0 {
        let _ = text.write_str("size ");
        number(text, &spec, end.wrapping_sub(start).wrapping_add(1));
    } else {
        number(text, &spec, start);
        if start != end {
            text.byte(b'-');
            number(text, &spec, end);
        }
    }
    if decode {
        let marks = [
            (IORESOURCE_MEM_64, " 64bit"),
            (IORESOURCE_PREFETCH, " pref"),
            (IORESOURCE_WINDOW, " window"),
            (IORESOURCE_DISABLED, " disabled"),
        ];
        for (_, mark) in marks.iter().filter(|(flag, _)| flags & flag != 0) {
            let _ = text.write_str(mark);
        }
    } else {
        let _ = write!(text, " flags {flags:#x}");
    }
    text.byte(b']');
}

/// What an extension needs of the memory that its argument points to.
#[derive(Clone, Copy)]
enum Shape {
    Mac,
    Ipv4,
    Ipv6,
    Bytes(usize),
    Number,
    Uuid,
    Resource,
}

fn shape(spec: &Spec, rest: &[u8]) -> Option<Shape> {
    match rest {
        [b'M' | b'm', ..] => Some(Shape::Mac),
        [b'I' | b'i', b'4', ..] => Some(Shape::Ipv4),
        [b'I' | b'i', b'6', ..] => Some(Shape::Ipv6),
        [b'h', ..] => Some(Shape::Bytes(spec.width.clamp(1, 64) as usize)),
        [b'a', ..] | [b'N', b'F', ..] => Some(Shape::Number),
        [b'U', ..] => Some(Shape::Uuid),
        [b'r' | b'R', ..] => Some(Shape::Resource),
        _ => None,
    }
}

fn pointed(args: &mut dyn Args, out: &mut dyn Sink, spec: &Spec, rest: &[u8], shape: Shape) {
    let at = args.word();
    let mut room = [0; 64];
    let len = match shape {
        Shape::Mac => 6,
        Shape::Ipv4 => 4,
        Shape::Bytes(len) => len,
        Shape::Number => 8,
        Shape::Ipv6 | Shape::Uuid => 16,
        Shape::Resource => 32,
    };
    let bytes = room.get_mut(..len).unwrap_or(&mut []);
    let missing = match nowhere(at) {
        Some(text) => Some(text),
        None => (!args.bytes(at, bytes)).then_some(b"(efault)".as_slice()),
    };
    if let Some(text) = missing {
        return padded(out, spec, text);
    }
    let mut text = Text::new();
    match shape {
        Shape::Mac => mac(&mut text, bytes, rest),
        Shape::Ipv4 => {
            let backwards = matches!(rest.get(2), Some(b'h' | b'l'));
            ipv4(&mut text, bytes, rest[0] == b'i', backwards);
        }
        Shape::Ipv6 => {
            let compressed = rest[0] == b'I' && rest.get(2) == Some(&b'c');
            ipv6(&mut text, bytes, compressed, rest[0] == b'I');
        }
        Shape::Bytes(_) => {
            let separator = match rest.get(1) {
                Some(b'C') => Some(b':'),
                Some(b'D') => Some(b'-'),
                Some(b'N') => None,
                _ => Some(b' '),
            };
            hex(&mut text, bytes, separator, false);
            // The width was the number of bytes.
            return padded(out, &Spec::PLAIN, text.as_bytes());
        }
        Shape::Number => return number(out, &Spec::hexadecimal(18), word(bytes, 0)),
        Shape::Uuid => uuid(&mut text, bytes, rest.get(1)),
        Shape::Resource => resource(&mut text, bytes, rest[0] == b'R'),
    }
    padded(out, spec, text.as_bytes());
}

/// `%p` and its extensions: `rest` is the format after the `p`. An extension that is not known
/// prints the address.
pub(super) fn pointer(args: &mut dyn Args, out: &mut Output<'_>, spec: &Spec, rest: &[u8]) {
    if let (Some(b'h'), 0) = (rest.first(), spec.width) {
        args.word();
        return;
    }
    if let Some(shape) = shape(spec, rest) {
        return pointed(args, out, spec, rest, shape);
    }
    let value = args.word();
    match rest {
        [b'e', ..] => error_pointer(out, spec, value),
        [b'S' | b's' | b'B', ..] if out.name() => {
            let mut text = Text::new();
            args.symbol(value, &mut text);
            padded(out, spec, text.as_bytes());
        }
        [b'V', ..] => {
            if let Some(text) = nowhere(value) {
                padded(out, spec, text);
            } else if !nested(args, out, value) {
                padded(out, spec, b"(efault)");
            }
        }
        [b'u' | b'k', b's', ..] => string(args, out, spec, value),
        _ => address(out, spec, value),
    }
}
