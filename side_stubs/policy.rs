// SPDX-License-Identifier: GPL-2.0

//! The vocabulary in which the import table is written.

pub(crate) use super::arguments::{Arg, Kind};
use crate::call::{Call, Outcome};

/// A handler of a gate: runs in ring 0 on the upcall's own kernel stack, with interrupts on.
pub(crate) type Handler = fn(&mut Call<'_>) -> Outcome;

/// Where an import may be called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Where {
    /// Anywhere.
    Any,
    /// Only where sleeping is allowed.
    Sleep,
}

/// The initial value of an imported variable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Init {
    /// All zero.
    Zero,
    /// This word first, zero after it.
    Word(u64),
    /// A copy of the kernel's `jiffies`, refreshed at each entry.
    Jiffies,
    /// A copy of the kernel's `boot_cpu_data`.
    BootCpu,
    /// A copy of the kernel's `__cpu_online_mask`.
    OnlineMask,
    /// The number of online CPUs.
    OnlineCount,
    /// For each byte the one with its bits in the other order.
    ReversedBits,
    /// A pointer to the variable itself: a token that stands for a kernel object.
    Token,
}

/// How an import is answered.
#[derive(Clone, Copy)]
pub(crate) enum Class {
    /// By the ring-3 library, without a crossing.
    Local,
    /// By a crossing and this handler.
    Gate {
        handler: Handler,
        args: &'static [Arg],
        context: Where,
    },
    /// Never: a call ends the domain, for the reason given.
    Denied(&'static str),
    /// A kernel function that drivers only name in a table of operations; the proxy installs the
    /// kernel's own. A call from ring 3 ends the domain.
    Native,
    /// A variable of this size in bytes.
    Data { size: u32, init: Init },
    /// A per-CPU variable at this offset of the per-CPU area.
    PerCpu { offset: u32 },
}

/// One line of the import table.
#[derive(Clone, Copy)]
pub(crate) struct Import {
    /// The symbol as the driver names it.
    pub(crate) name: &'static str,
    /// How it is answered.
    pub(crate) class: Class,
}

/// Declares an import that crosses.
pub(crate) const fn gate(
    name: &'static str,
    args: &'static [Arg],
    context: Where,
    handler: Handler,
) -> Import {
    Import {
        name,
        class: Class::Gate {
            handler,
            args,
            context,
        },
    }
}

/// Declares an import that the ring-3 library answers.
pub(crate) const fn local(name: &'static str) -> Import {
    Import {
        name,
        class: Class::Local,
    }
}

/// Declares an import that ends the domain when called, with the reason.
pub(crate) const fn deny(name: &'static str, reason: &'static str) -> Import {
    Import {
        name,
        class: Class::Denied(reason),
    }
}

/// Declares a kernel function that drivers only name in tables of operations.
pub(crate) const fn native(name: &'static str) -> Import {
    Import {
        name,
        class: Class::Native,
    }
}

/// Declares an imported variable of `size` bytes.
pub(crate) const fn data(name: &'static str, size: u32, init: Init) -> Import {
    Import {
        name,
        class: Class::Data { size, init },
    }
}

/// Declares an imported per-CPU variable at `offset` of the per-CPU area.
pub(crate) const fn percpu(name: &'static str, offset: u64) -> Import {
    Import {
        name,
        class: Class::PerCpu {
            offset: offset as u32,
        },
    }
}
