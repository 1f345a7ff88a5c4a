// SPDX-License-Identifier: GPL-2.0

//! Stand-in until the switcher lands.
use kernel::prelude::*;
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Perm {
    Read,
    ReadWrite,
    ReadExecute,
}
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Ram,
    Mmio,
}
#[derive(Clone, Copy)]
pub(crate) struct Mapping {
    pub(crate) phys: u64,
    pub(crate) perm: Perm,
    pub(crate) kind: Kind,
}
pub(crate) struct View;
impl View {
    pub(crate) fn new() -> Result<View> {
        Ok(View)
    }
    pub(crate) fn map(&self, _va: u64, _phys: u64, _perm: Perm, _kind: Kind) -> Result {
        Err(ENOSYS)
    }
    pub(crate) fn unmap(&self, _va: u64) -> Option<u64> {
        None
    }
    pub(crate) fn translate(&self, _va: u64) -> Option<Mapping> {
        None
    }
}
