// SPDX-License-Identifier: GPL-2.0

//! Handlers.

/// What a domain holds of this kind.
pub(crate) struct State;

impl State {
    pub(crate) fn new() -> Self {
        State
    }
}
