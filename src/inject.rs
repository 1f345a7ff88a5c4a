// SPDX-License-Identifier: GPL-2.0

//! A test aid: ends a domain at a chosen crossing, so that recovery can be shown from any place.

use crate::sys::lock::BhLock;
use core::sync::atomic::{AtomicBool, Ordering};
use kernel::prelude::*;

/// Longest name of a crossing.
const NAME_LEN: usize = 48;

struct Target {
    name: [u8; NAME_LEN],
    len: usize,
    /// Crossings of that name still to pass, this one included.
    left: u32,
}

/// Where a domain is to end.
pub(crate) struct Inject {
    armed: AtomicBool,
    target: BhLock<Target>,
}

impl Inject {
    pub(crate) const fn new() -> Self {
        Inject {
            armed: AtomicBool::new(false),
            target: BhLock::new(Target {
                name: [0; NAME_LEN],
                len: 0,
                left: 0,
            }),
        }
    }

    /// Arms it: at the `count`th crossing called `name` from now. Errors: EINVAL.
    pub(crate) fn arm(&self, name: &[u8], count: u32) -> Result {
        if name.is_empty() || name.len() > NAME_LEN || count == 0 {
            return Err(EINVAL);
        }
        let mut target = self.target.lock();
        target.name[..name.len()].copy_from_slice(name);
        target.len = name.len();
        target.left = count;
        self.armed.store(true, Ordering::Release);
        Ok(())
    }

    /// Takes over what waits in `before`, whose domain ended elsewhere: so a driver can be ended on
    /// its way back.
    pub(crate) fn inherit(&self, before: &Inject) {
        if !before.armed.swap(false, Ordering::AcqRel) {
            return;
        }
        let (name, len, left) = {
            let target = before.target.lock();
            (target.name, target.len, target.left)
        };
        let _ = self.arm(&name[..len], left);
    }

    /// Whether it waits for its crossing.
    pub(crate) fn is_armed(&self) -> bool {
        self.armed.load(Ordering::Acquire)
    }

    /// Whether the domain is to end at this crossing, called `name`. Once.
    #[inline(always)]
    pub(crate) fn strikes(&self, name: &str) -> bool {
        self.armed.load(Ordering::Relaxed) && self.strikes_armed(name)
    }

    #[cold]
    #[inline(never)]
    fn strikes_armed(&self, name: &str) -> bool {
        let mut target = self.target.lock();
        if &target.name[..target.len] != name.as_bytes() || target.left == 0 {
            return false;
        }
        target.left -= 1;
        let strikes = target.left == 0;
        if strikes {
            self.armed.store(false, Ordering::Release);
        }
        strikes
    }
}
