// SPDX-License-Identifier: GPL-2.0

//! What becomes of a domain after a fault.

use super::bug::BugEntry;
use super::classify::{classify, Cause, Facts};
use super::decode::{decode, Insn};
use super::emulate::{is_emulated, Refusal};
use super::frame::Frame;

/// The verdict on one fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Report the warning, then go on at `rip`.
    Continue {
        /// Behind the instruction.
        rip: u64,
        /// The warning.
        warning: BugEntry,
    },
    /// Let [`emulate`](super::emulate::emulate) carry the instruction out.
    Emulate(Insn),
    /// The domain is dead.
    End(Cause),
}

/// Judges the exit by `vector` with its error code and CR2. `code` is up to 15 bytes at the
/// frame's RIP, fewer or none where the domain has no code there.
pub fn judge(
    frame: &Frame,
    vector: u8,
    error: u64,
    cr2: u64,
    code: &[u8],
    facts: &dyn Facts,
) -> Verdict {
    match classify(frame, vector, error, cr2, code, facts) {
        Cause::Warn { next, entry } => Verdict::Continue {
            rip: next,
            warning: entry,
        },
        cause @ Cause::PrivilegedInstruction { insn } => match decode(code) {
            Ok(decoded) if is_emulated(&insn) => Verdict::Emulate(decoded),
            _ => Verdict::End(cause),
        },
        cause => Verdict::End(cause),
    }
}

/// The cause of death where [`emulate`](super::emulate::emulate) refused an instruction.
pub fn refused(insn: &Insn, refusal: Refusal) -> Cause {
    match refusal {
        Refusal::Privileged => Cause::PrivilegedInstruction { insn: insn.kind },
        Refusal::ForeignPort { port, size, write } => Cause::ForeignPort { port, size, write },
    }
}
