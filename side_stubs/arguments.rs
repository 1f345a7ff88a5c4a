// SPDX-License-Identifier: GPL-2.0

//! What the arguments of a call must be, before its handler sees them.
//!
//! Decisions on numbers only, so that they are tested and fuzzed on the host: where memory of the
//! domain lies is the caller's [`Claims`]. All arithmetic is on what a driver says, so none of it may
//! overflow: the kernel's Rust stops the machine at that.

// Also a part of the host crate, where `pub` reaches further.
#![allow(unreachable_pub)]

use super::contract::DOMAIN_END;

/// Bytes in a page.
const PAGE: u64 = 4096;

/// What an argument of a gate is. The dispatcher checks each before the handler runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arg {
    /// A number; the handler knows its range.
    Word,
    /// The address of memory of the domain that the handler will read or write piecewise.
    Addr,
    /// As `Addr`, or NULL.
    AddrOrNull,
    /// A string that ends within a page's length.
    Str,
    /// As `Str`, or NULL.
    StrOrNull,
    /// A function of the driver's text.
    Fn,
    /// As `Fn`, or NULL.
    FnOrNull,
    /// Memory of at least as many bytes as the argument with this index says.
    Buf(u8),
    /// The handle of an object of the domain, of the kind named; the handler looks it up, which
    /// refuses a handle that is not this domain's.
    Obj(Kind),
    /// The variable arguments of a format.
    Format,
}

/// Kinds of objects that a domain names by handle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    NetDevice,
    NetQueue,
    Napi,
    SkBuff,
    PciDevice,
    Device,
    Timer,
    Work,
    Mutex,
    PtpClock,
    Page,
}

/// What may be done with a page of a domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// RAM that the domain reads.
    Read,
    /// RAM that it reads and writes.
    Write,
    /// RAM that it executes.
    Execute,
}

/// Where the memory of a domain lies.
pub trait Claims {
    /// What the page that holds `address` is; `None` where there is no RAM of the domain's.
    fn page(&self, address: u64) -> Option<Use>;
}

/// Whether all of `[address, address + len)` is memory of the domain, writable if asked. Errors: the
/// first address that is not.
pub fn range(claims: &impl Claims, address: u64, len: u64, write: bool) -> Result<(), u64> {
    if len == 0 {
        return Ok(());
    }
    let end = address.checked_add(len).ok_or(address)?;
    if end > DOMAIN_END {
        return Err(address);
    }
    let mut at = address;
    while at < end {
        match claims.page(at) {
            Some(found) if !write || found == Use::Write => {}
            _ => return Err(at),
        }
        at = (at / PAGE + 1) * PAGE;
    }
    Ok(())
}

/// Checks the arguments of a call, of which `value` tells the nth, against the import's declaration.
/// Handles of objects are looked up by the handler, which needs the object. Errors: the rule and
/// the offending value.
pub fn check(
    args: &[Arg],
    value: impl Fn(usize) -> u64,
    claims: &impl Claims,
) -> Result<(), (&'static str, u64)> {
    let memory = |address, len| {
        range(claims, address, len, false).map_err(|address| ("bad-pointer", address))
    };
    for (n, arg) in args.iter().enumerate() {
        let one = value(n);
        match arg {
            Arg::AddrOrNull | Arg::StrOrNull | Arg::FnOrNull if one == 0 => {}
            Arg::Word | Arg::Obj(_) | Arg::Format => {}
            Arg::Addr | Arg::AddrOrNull | Arg::Str | Arg::StrOrNull => memory(one, 1)?,
            Arg::Fn | Arg::FnOrNull => {
                if claims.page(one) != Some(Use::Execute) {
                    return Err(("bad-function", one));
                }
            }
            Arg::Buf(len) => memory(one, value(usize::from(*len)))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three pages from 0x1000 on: text, data, read-only data.
    struct Three;

    impl Claims for Three {
        fn page(&self, address: u64) -> Option<Use> {
            match address / PAGE {
                1 => Some(Use::Execute),
                2 => Some(Use::Write),
                3 => Some(Use::Read),
                _ => None,
            }
        }
    }

    #[test]
    fn a_range_is_memory_from_its_first_byte_to_its_last() {
        assert_eq!(range(&Three, 0x1000, 0x3000, false), Ok(()));
        assert_eq!(range(&Three, 0x1000, 0x3001, false), Err(0x4000));
        assert_eq!(range(&Three, 0xfff, 2, false), Err(0xfff));
        assert_eq!(range(&Three, 0x2000, 0x1000, true), Ok(()));
        assert_eq!(range(&Three, 0x2fff, 2, true), Err(0x3000));
        assert_eq!(range(&Three, u64::MAX, 2, false), Err(u64::MAX));
        assert_eq!(range(&Three, u64::MAX, 1, false), Err(u64::MAX));
        assert_eq!(range(&Three, 0x9000, 0, true), Ok(()));
    }

    #[test]
    fn each_kind_of_argument_has_its_rule() {
        let call = |arg, value: u64| check(&[arg], |_| value, &Three);
        assert_eq!(call(Arg::Word, u64::MAX), Ok(()));
        assert_eq!(call(Arg::Addr, 0), Err(("bad-pointer", 0)));
        assert_eq!(call(Arg::AddrOrNull, 0), Ok(()));
        assert_eq!(call(Arg::Fn, 0x1004), Ok(()));
        assert_eq!(call(Arg::Fn, 0x2000), Err(("bad-function", 0x2000)));
        assert_eq!(call(Arg::FnOrNull, 0), Ok(()));
        assert_eq!(call(Arg::FnOrNull, 1), Err(("bad-function", 1)));
        let buffer = |at, len| check(&[Arg::Buf(1), Arg::Word], |n| [at, len][n], &Three);
        assert_eq!(buffer(0x2000, 0x2000), Ok(()));
        assert_eq!(buffer(0x2000, u64::MAX), Err(("bad-pointer", 0x2000)));
        assert_eq!(buffer(0, 0), Ok(()));
    }
}
