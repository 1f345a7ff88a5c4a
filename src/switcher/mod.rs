// SPDX-License-Identifier: GPL-2.0

//! Stand-in until the switcher lands.
pub(crate) use crate::fault_handler::frame::Frame;
use crate::pages::View;
pub(crate) const GATE_VECTOR: u8 = 0x80;
pub(crate) struct Exit {
    pub(crate) vector: u8,
    pub(crate) error_code: u64,
    pub(crate) cr2: u64,
}
pub(crate) fn enter(_view: &View, _frame: &mut Frame, _gs_base: u64) -> Exit {
    Exit { vector: 0, error_code: 0, cr2: 0 }
}
pub(crate) fn hand_on(_vector: u8) {}
pub(crate) fn arm_tick() {}
pub(crate) fn is_handed_on(_vector: u8) -> bool {
    false
}
pub(crate) fn init() -> kernel::error::Result {
    Ok(())
}
pub(crate) fn exit() {}
