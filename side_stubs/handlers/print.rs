// SPDX-License-Identifier: GPL-2.0

//! Messages of the driver. The text is formatted here, from arguments and memory of the driver that
//! are read once each, and goes to the log as finished text: the kernel's own printf never sees a
//! format or a pointer of the driver's.

use crate::call::{Call, Outcome, Violation};
use crate::side_stubs::format::{format, level, Args};
use crate::sys::print::{self, Level, Text};
use core::fmt::Write;
use kernel::prelude::*;

/// Longest format that is read, in bytes.
const FORMAT: usize = 512;
/// `va_list`s inside `va_list`s (`%pV`).
const NESTED: usize = 3;

/// Where variable arguments come from: registers, then the stack, or a `va_list`.
#[derive(Clone, Copy, Default)]
struct Source {
    /// Next argument among the call's own, or bytes used of a `va_list`'s register area.
    next: usize,
    /// Addresses of a `va_list`'s register area and overflow area, if it is one.
    list: Option<(u64, u64)>,
}

/// The arguments of one call.
struct Variable<'a, 'b> {
    call: &'a Call<'b>,
    sources: [Source; NESTED],
    depth: usize,
}

impl<'a, 'b> Variable<'a, 'b> {
    /// The arguments of `call` from number `first` on.
    fn new(call: &'a Call<'b>, first: usize) -> Self {
        let mut sources = [Source::default(); NESTED];
        sources[0].next = first;
        Variable {
            call,
            sources,
            depth: 0,
        }
    }
}

impl Args for Variable<'_, '_> {
    fn word(&mut self) -> u64 {
        let call = self.call;
        let source = &mut self.sources[self.depth];
        match &mut source.list {
            None => {
                source.next += 1;
                call.arg(source.next - 1)
            }
            // The register area holds six words of 8 bytes before the overflow area counts.
            Some((registers, _)) if source.next < 48 => {
                source.next += 8;
                call.read(registers.wrapping_add(source.next as u64 - 8))
                    .unwrap_or(0)
            }
            Some((_, overflow)) => {
                *overflow = overflow.wrapping_add(8);
                call.read(overflow.wrapping_sub(8)).unwrap_or(0)
            }
        }
    }

    fn bytes(&mut self, address: u64, into: &mut [u8]) -> bool {
        self.call.read_bytes(address, into).is_ok()
    }

    fn symbol(&mut self, address: u64, out: &mut dyn Write) {
        self.call.domain.image.write_symbol(address, out);
    }

    fn push(&mut self, address: u64) -> bool {
        if self.depth + 1 == NESTED {
            return false;
        }
        // struct __va_list_tag: gp_offset, fp_offset, overflow_arg_area, reg_save_area.
        let Ok([offsets, overflow, registers]) = self.call.read::<[u64; 3]>(address) else {
            return false;
        };
        let next = (offsets as u32 as usize).min(48);
        self.depth += 1;
        self.sources[self.depth] = Source {
            next,
            list: Some((registers, overflow)),
        };
        true
    }

    fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }
}

fn read_format<'f>(
    call: &Call<'_>,
    n: usize,
    room: &'f mut [u8; FORMAT],
) -> Result<&'f [u8], Violation> {
    call.read_str(call.arg(n), room)
}

fn formatted(call: &Call<'_>, template: &[u8], first: usize) -> Result<KBox<Text>, Violation> {
    let mut text = Text::boxed().map_err(|_| Violation::new("out-of-memory", 0))?;
    format(template, &mut Variable::new(call, first), &mut *text);
    Ok(text)
}

/// `_printk(format, ...)`.
pub(crate) fn printk(call: &mut Call<'_>) -> Outcome {
    let mut room = [0; FORMAT];
    let (mark, template) = level(read_format(call, 0, &mut room)?);
    let text = formatted(call, template, 1)?;
    print::plain(Level::from_mark(mark), call.domain.name(), text.as_str());
    Ok(text.as_str().len() as u64)
}

fn device(call: &mut Call<'_>, handle: usize, first: usize, level: Level) -> Outcome {
    let mut room = [0; FORMAT];
    let template = read_format(call, first, &mut room)?;
    let text = formatted(call, template, first + 1)?;
    let handle = call.arg(handle);
    if let Some(device) = call.domain.pci.by_device(handle) {
        print::device(level, &device.raw, text.as_str());
    } else if let Some(device) = call.domain.net.by_device(handle) {
        print::interface(level, &device.real, text.as_str());
    } else {
        print::plain(level, call.domain.name(), text.as_str());
    }
    Ok(0)
}

/// `_dev_err(device, format, ...)` and worse.
pub(crate) fn dev_err(call: &mut Call<'_>) -> Outcome {
    device(call, 0, 1, Level::Error)
}

/// `_dev_warn(device, format, ...)`.
pub(crate) fn dev_warn(call: &mut Call<'_>) -> Outcome {
    device(call, 0, 1, Level::Warning)
}

/// `_dev_notice(device, format, ...)`.
pub(crate) fn dev_notice(call: &mut Call<'_>) -> Outcome {
    device(call, 0, 1, Level::Notice)
}

/// `_dev_info(device, format, ...)`.
pub(crate) fn dev_info(call: &mut Call<'_>) -> Outcome {
    device(call, 0, 1, Level::Info)
}

fn given_level(call: &Call<'_>) -> Result<Level, Violation> {
    let mut mark = [0; 3];
    let mark = call.read_str(call.arg(0), &mut mark)?;
    Ok(Level::from_mark(level(mark).0))
}

/// `_dev_printk(level, device, format, ...)`.
pub(crate) fn dev_printk(call: &mut Call<'_>) -> Outcome {
    let level = given_level(call)?;
    device(call, 1, 2, level)
}

fn interface(call: &mut Call<'_>, handle: usize, first: usize, level: Level) -> Outcome {
    let mut room = [0; FORMAT];
    let template = read_format(call, first, &mut room)?;
    let text = formatted(call, template, first + 1)?;
    match call.domain.net.device(call.arg(handle)) {
        Ok(device) => print::interface(level, &device.real, text.as_str()),
        Err(_) => print::plain(level, call.domain.name(), text.as_str()),
    }
    Ok(0)
}

/// `netdev_err(device, format, ...)` and worse.
pub(crate) fn netdev_err(call: &mut Call<'_>) -> Outcome {
    interface(call, 0, 1, Level::Error)
}

/// `netdev_warn(device, format, ...)`.
pub(crate) fn netdev_warn(call: &mut Call<'_>) -> Outcome {
    interface(call, 0, 1, Level::Warning)
}

/// `netdev_notice(device, format, ...)`.
pub(crate) fn netdev_notice(call: &mut Call<'_>) -> Outcome {
    interface(call, 0, 1, Level::Notice)
}

/// `netdev_info(device, format, ...)`.
pub(crate) fn netdev_info(call: &mut Call<'_>) -> Outcome {
    interface(call, 0, 1, Level::Info)
}

/// `netdev_printk(level, device, format, ...)`.
pub(crate) fn netdev_printk(call: &mut Call<'_>) -> Outcome {
    let level = given_level(call)?;
    interface(call, 1, 2, level)
}

/// `print_hex_dump(level, prefix, type, row, group, buffer, length, ascii)`: rows of 16 bytes, a
/// page at most.
pub(crate) fn hex_dump(call: &mut Call<'_>) -> Outcome {
    let level = given_level(call)?;
    let mut room = [0; 64];
    let prefix = call.read_str(call.arg(1), &mut room)?;
    let prefix = core::str::from_utf8(prefix).unwrap_or("");
    let (buffer, len) = (call.arg(5), call.stack_arg(0)?.min(4096));
    for offset in (0..len).step_by(16) {
        let mut row = [0; 16];
        let part = (len - offset).min(16) as usize;
        call.read_bytes(buffer.wrapping_add(offset), &mut row[..part])?;
        let mut text = Text::boxed().map_err(|_| Violation::new("out-of-memory", 0))?;
        let _ = write!(text, "{prefix}{offset:08x}:");
        for byte in &row[..part] {
            let _ = write!(text, " {byte:02x}");
        }
        print::plain(level, call.domain.name(), text.as_str());
    }
    Ok(0)
}

/// `dump_stack()`: where the driver is.
pub(crate) fn dump_stack(call: &mut Call<'_>) -> Outcome {
    let caller: u64 = call.read(call.frame.rsp)?;
    let mut text = Text::boxed().map_err(|_| Violation::new("out-of-memory", 0))?;
    let _ = text.write_str("dump_stack: called from ");
    call.domain.image.write_symbol(caller, &mut *text);
    print::plain(Level::Info, call.domain.name(), text.as_str());
    Ok(0)
}

/// Writes `text` with its NUL into `size` bytes at `to`, as snprintf does.
fn store(call: &Call<'_>, to: u64, size: u64, text: &str) -> Result<(), Violation> {
    if size == 0 {
        return Ok(());
    }
    let len = text.len().min(size as usize - 1);
    call.write_bytes(to, &text.as_bytes()[..len])?;
    call.write(to + len as u64, 0u8)
}

fn print_into(call: &mut Call<'_>, size: u64, template: usize) -> Result<u64, Violation> {
    let mut room = [0; FORMAT];
    let format = read_format(call, template, &mut room)?;
    let text = formatted(call, format, template + 1)?;
    store(call, call.arg(0), size, text.as_str())?;
    Ok(text.as_str().len() as u64)
}

/// `snprintf(buffer, size, format, ...)`.
pub(crate) fn snprintf(call: &mut Call<'_>) -> Outcome {
    print_into(call, call.arg(1).min(4096), 2)
}

/// `scnprintf(buffer, size, format, ...)`: what was written.
pub(crate) fn scnprintf(call: &mut Call<'_>) -> Outcome {
    let size = call.arg(1).min(4096);
    Ok(print_into(call, size, 2)?.min(size.saturating_sub(1)))
}

/// `sprintf(buffer, format, ...)`: the buffer is as long as the text needs, or the write faults.
pub(crate) fn sprintf(call: &mut Call<'_>) -> Outcome {
    print_into(call, 4096, 1)
}

/// `vsnprintf(buffer, size, format, list)`.
pub(crate) fn vsnprintf(call: &mut Call<'_>) -> Outcome {
    let mut room = [0; FORMAT];
    let template = read_format(call, 2, &mut room)?;
    let mut text = Text::boxed().map_err(|_| Violation::new("out-of-memory", 0))?;
    let mut args = Variable::new(call, 4);
    if !args.push(call.arg(3)) {
        return Err(Violation::new("bad-pointer", call.arg(3)));
    }
    format(template, &mut args, &mut *text);
    store(call, call.arg(0), call.arg(1).min(4096), text.as_str())?;
    Ok(text.as_str().len() as u64)
}
