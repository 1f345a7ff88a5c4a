// SPDX-License-Identifier: GPL-2.0

//! Messages of the driver. The text is formatted here, from arguments and memory of the driver that
//! are read once each, and goes to the log as finished text: the kernel's own printf never sees a
//! format or a pointer of the driver's.

use crate::call::{Call, Outcome, Violation};
use crate::report;
use crate::side_stubs::format::{format, level, Args, Sink};
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

/// Text for the log: only what is printable and line ends reach it.
struct Log<'a>(&'a mut Text);

impl Sink for Log<'_> {
    fn byte(&mut self, byte: u8) {
        let shown = match byte {
            b'\n' | b'\t' | 0x20..=0x7e => byte as char,
            _ => '?',
        };
        let _ = self.0.write_char(shown);
    }
}

/// A buffer of the driver's that is filled as snprintf does: what does not fit is counted, and a
/// NUL ends what does.
struct Filling<'a, 'b> {
    call: &'a Call<'b>,
    to: u64,
    /// Bytes of the buffer that text may take: one less than it has, if it has any.
    room: u64,
    /// Length of the whole text so far.
    total: u64,
    /// The last bytes of it, which are not written yet.
    staged: [u8; 64],
    count: usize,
    result: Result<(), Violation>,
}

impl<'a, 'b> Filling<'a, 'b> {
    fn new(call: &'a Call<'b>, to: u64, size: u64) -> Self {
        Filling {
            call,
            to,
            room: size.saturating_sub(1),
            total: 0,
            staged: [0; 64],
            count: 0,
            result: Ok(()),
        }
    }

    fn flush(&mut self) {
        let begin = self.total - self.count as u64;
        let fits = self.room.saturating_sub(begin).min(self.count as u64) as usize;
        if fits > 0 && self.result.is_ok() {
            let part = &self.staged[..fits];
            self.result = self.call.write_bytes(self.to.wrapping_add(begin), part);
        }
        self.count = 0;
    }

    /// Ends the text, and returns the length of the whole.
    fn end(mut self, size: u64) -> Result<u64, Violation> {
        self.flush();
        self.result?;
        if size > 0 {
            let end = self.to.wrapping_add(self.total.min(self.room));
            self.call.write(end, 0u8)?;
        }
        Ok(self.total)
    }
}

impl Sink for Filling<'_, '_> {
    fn byte(&mut self, byte: u8) {
        self.staged[self.count] = byte;
        self.count += 1;
        self.total += 1;
        if self.count == self.staged.len() {
            self.flush();
        }
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
    format(
        template,
        &mut Variable::new(call, first),
        &mut Log(&mut text),
    );
    Ok(text)
}

/// Logs `text` under the driver's name, unless there was too much of it.
fn plain(call: &Call<'_>, level: Level, text: &str) {
    if !matches!(level, Level::Debug) && call.domain.may_log() {
        print::plain(level, call.domain.name(), text);
    }
}

/// `_printk(format, ...)`.
pub(crate) fn printk(call: &mut Call<'_>) -> Outcome {
    let mut room = [0; FORMAT];
    let (mark, template) = level(read_format(call, 0, &mut room)?);
    let text = formatted(call, template, 1)?;
    plain(call, Level::from_mark(mark), text.as_str());
    Ok(text.as_str().len() as u64)
}

/// `WARN_trap(entry, ...)`: a WARN with a message. The entry of the bug table has its format.
pub(crate) fn warn(call: &mut Call<'_>) -> Outcome {
    let address = call.arg(0);
    let Some((entry, template)) = call.domain.image.bug_at(address) else {
        return Err(Violation::new("bad-warning", address));
    };
    let (_, template) = level(template);
    let text = formatted(call, template, 1)?;
    report::warning_call(call, entry, text.as_str());
    Ok(0)
}

fn device(call: &mut Call<'_>, handle: usize, first: usize, level: Level) -> Outcome {
    let mut room = [0; FORMAT];
    let template = read_format(call, first, &mut room)?;
    let text = formatted(call, template, first + 1)?;
    let handle = call.arg(handle);
    if !call.domain.may_log() {
        return Ok(0);
    }
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
    if !call.domain.may_log() {
        return Ok(0);
    }
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

/// `__dynamic_pr_debug(descriptor, format, ...)`: of the descriptor nothing is wanted.
pub(crate) fn pr_debug(call: &mut Call<'_>) -> Outcome {
    let mut room = [0; FORMAT];
    let template = read_format(call, 1, &mut room)?;
    let text = formatted(call, template, 2)?;
    plain(call, Level::Debug, text.as_str());
    Ok(0)
}

/// `__dynamic_dev_dbg(descriptor, device, format, ...)`.
pub(crate) fn dev_debug(call: &mut Call<'_>) -> Outcome {
    device(call, 1, 2, Level::Debug)
}

/// `__dynamic_netdev_dbg(descriptor, device, format, ...)`.
pub(crate) fn netdev_debug(call: &mut Call<'_>) -> Outcome {
    interface(call, 1, 2, Level::Debug)
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
        plain(call, level, text.as_str());
    }
    Ok(0)
}

/// `dump_stack()`: where the driver is.
pub(crate) fn dump_stack(call: &mut Call<'_>) -> Outcome {
    let caller: u64 = call.read(call.frame.rsp)?;
    let mut text = Text::boxed().map_err(|_| Violation::new("out-of-memory", 0))?;
    let _ = text.write_str("dump_stack: called from ");
    call.domain.image.write_symbol(caller, &mut *text);
    plain(call, Level::Info, text.as_str());
    Ok(0)
}

/// Sizes above are refused, as the kernel does with a warning.
const SIZE_MAX: u64 = i32::MAX as u64;

fn print_into(call: &mut Call<'_>, size: u64, template: usize) -> Result<u64, Violation> {
    if size > SIZE_MAX {
        return Ok(0);
    }
    let mut room = [0; FORMAT];
    let text = read_format(call, template, &mut room)?;
    let mut out = Filling::new(call, call.arg(0), size);
    format(text, &mut Variable::new(call, template + 1), &mut out);
    out.end(size)
}

/// `snprintf(buffer, size, format, ...)`.
pub(crate) fn snprintf(call: &mut Call<'_>) -> Outcome {
    print_into(call, call.arg(1), 2)
}

/// `scnprintf(buffer, size, format, ...)`: what was written.
pub(crate) fn scnprintf(call: &mut Call<'_>) -> Outcome {
    let size = call.arg(1);
    Ok(print_into(call, size, 2)?.min(size.saturating_sub(1)))
}

/// `sprintf(buffer, format, ...)`: the buffer is as long as the text needs, or the write faults.
pub(crate) fn sprintf(call: &mut Call<'_>) -> Outcome {
    print_into(call, SIZE_MAX, 1)
}

/// `ethtool_sprintf(data, format, ...)`: writes at `*data`, which goes on by the length of a name.
pub(crate) fn ethtool_sprintf(call: &mut Call<'_>) -> Outcome {
    const NAME: usize = 32;
    let mut room = [0; FORMAT];
    let template = read_format(call, 1, &mut room)?;
    let text = formatted(call, template, 2)?;
    let to: u64 = call.read(call.arg(0))?;
    let mut name = [0; NAME];
    let len = text.as_str().len().min(NAME - 1);
    name[..len].copy_from_slice(&text.as_str().as_bytes()[..len]);
    call.write_bytes(to, &name)?;
    call.write(call.arg(0), to.wrapping_add(NAME as u64))?;
    Ok(0)
}

/// `vsnprintf(buffer, size, format, list)`.
pub(crate) fn vsnprintf(call: &mut Call<'_>) -> Outcome {
    let size = call.arg(1);
    if size > SIZE_MAX {
        return Ok(0);
    }
    let mut room = [0; FORMAT];
    let template = read_format(call, 2, &mut room)?;
    let mut args = Variable::new(call, 4);
    if !args.push(call.arg(3)) {
        return Err(Violation::new("bad-pointer", call.arg(3)));
    }
    let mut out = Filling::new(call, call.arg(0), size);
    format(template, &mut args, &mut out);
    out.end(size)
}
