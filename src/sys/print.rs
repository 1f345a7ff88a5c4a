// SPDX-License-Identifier: GPL-2.0

//! The kernel log, for text that is finished.

use super::bindings;
use super::net::RealDevice;
use super::pci::PciRef;
use core::fmt::Write;
use kernel::alloc::flags::GFP_ATOMIC;
use kernel::prelude::*;

/// Longest text of one message in bytes.
const LONGEST: usize = 1000;

/// Text in the making; what does not fit is cut. It ends with a NUL for the kernel.
pub(crate) struct Text {
    bytes: [u8; LONGEST + 1],
    len: usize,
}

impl Text {
    /// An empty text on the heap: kernel stacks are small. Any context.
    pub(crate) fn boxed() -> Result<KBox<Text>> {
        Ok(KBox::new(
            Text {
                bytes: [0; LONGEST + 1],
                len: 0,
            },
            GFP_ATOMIC,
        )?)
    }

    pub(crate) fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for byte in text.bytes().filter(u8::is_ascii) {
            if self.len < LONGEST {
                self.bytes[self.len] = byte;
                self.len += 1;
            }
        }
        Ok(())
    }
}

/// Severity, as `KERN_*`.
#[derive(Clone, Copy)]
pub(crate) enum Level {
    Error,
    Warning,
    Notice,
    Info,
    Debug,
}

impl Level {
    /// From the character behind SOH; without one the default is a warning.
    pub(crate) fn from_mark(mark: Option<u8>) -> Level {
        match mark {
            Some(b'0'..=b'3') => Level::Error,
            Some(b'5') => Level::Notice,
            Some(b'6' | b'c') => Level::Info,
            Some(b'7') => Level::Debug,
            _ => Level::Warning,
        }
    }

    fn kern(self) -> *const u8 {
        match self {
            Level::Error => c"\x013",
            Level::Warning => c"\x014",
            Level::Notice => c"\x015",
            Level::Info => c"\x016",
            Level::Debug => c"\x017",
        }
        .as_char_ptr()
    }
}

/// Room for `text` and a NUL, for the kernel's `%s`.
fn c_text(text: &str) -> Option<KVec<u8>> {
    let mut copy = KVec::with_capacity(text.len() + 1, GFP_ATOMIC).ok()?;
    copy.extend_from_slice(text.as_bytes(), GFP_ATOMIC).ok()?;
    copy.push(0, GFP_ATOMIC).ok()?;
    Some(copy)
}

/// Logs `text` with `prefix` in front.
pub(crate) fn plain(level: Level, prefix: &str, text: &str) {
    let text = text.trim_end_matches('\n');
    // A driver's own messages mostly carry its name.
    let named = text.starts_with(prefix);
    match (level, named) {
        (Level::Error, false) => pr_err!("{prefix}: {text}\n"),
        (Level::Error, true) => pr_err!("{text}\n"),
        (Level::Warning, false) => pr_warn!("{prefix}: {text}\n"),
        (Level::Warning, true) => pr_warn!("{text}\n"),
        (Level::Notice, false) => pr_notice!("{prefix}: {text}\n"),
        (Level::Notice, true) => pr_notice!("{text}\n"),
        (Level::Info, false) => pr_info!("{prefix}: {text}\n"),
        (Level::Info, true) => pr_info!("{text}\n"),
        (Level::Debug, _) => {}
    }
}

/// Logs `text` as `dev_printk` does.
pub(crate) fn device(level: Level, device: &PciRef, text: &str) {
    let Some(text) = c_text(text) else { return };
    // SAFETY: a live device; the format takes one string, which ends with a NUL.
    unsafe {
        bindings::_dev_printk(
            level.kern(),
            device.device(),
            c"%s".as_char_ptr(),
            text.as_ptr(),
        )
    };
}

/// Logs `text` as `netdev_printk` does.
pub(crate) fn interface(level: Level, device: &RealDevice, text: &str) {
    let Some(text) = c_text(text) else { return };
    // SAFETY: as above.
    unsafe {
        bindings::netdev_printk(
            level.kern(),
            device.as_ptr(),
            c"%s".as_char_ptr(),
            text.as_ptr(),
        )
    };
}
