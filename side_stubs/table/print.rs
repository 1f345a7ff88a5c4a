// SPDX-License-Identifier: GPL-2.0

//! Imports: messages and formatted strings.

use crate::side_stubs::handlers::print;
use crate::side_stubs::policy::{Arg::*, Where::*, *};

pub(crate) const IMPORTS: &[Import] = &[
    gate("_printk", &[Str, Format], Any, print::printk),
    gate(
        "_dev_emerg",
        &[Obj(Kind::Device), Str, Format],
        Any,
        print::dev_err,
    ),
    gate(
        "_dev_alert",
        &[Obj(Kind::Device), Str, Format],
        Any,
        print::dev_err,
    ),
    gate(
        "_dev_crit",
        &[Obj(Kind::Device), Str, Format],
        Any,
        print::dev_err,
    ),
    gate(
        "_dev_err",
        &[Obj(Kind::Device), Str, Format],
        Any,
        print::dev_err,
    ),
    gate(
        "_dev_warn",
        &[Obj(Kind::Device), Str, Format],
        Any,
        print::dev_warn,
    ),
    gate(
        "_dev_notice",
        &[Obj(Kind::Device), Str, Format],
        Any,
        print::dev_notice,
    ),
    gate(
        "_dev_info",
        &[Obj(Kind::Device), Str, Format],
        Any,
        print::dev_info,
    ),
    gate(
        "_dev_printk",
        &[Str, Obj(Kind::Device), Str, Format],
        Any,
        print::dev_printk,
    ),
    gate(
        "netdev_emerg",
        &[Obj(Kind::NetDevice), Str, Format],
        Any,
        print::netdev_err,
    ),
    gate(
        "netdev_crit",
        &[Obj(Kind::NetDevice), Str, Format],
        Any,
        print::netdev_err,
    ),
    gate(
        "netdev_err",
        &[Obj(Kind::NetDevice), Str, Format],
        Any,
        print::netdev_err,
    ),
    gate(
        "netdev_warn",
        &[Obj(Kind::NetDevice), Str, Format],
        Any,
        print::netdev_warn,
    ),
    gate(
        "netdev_notice",
        &[Obj(Kind::NetDevice), Str, Format],
        Any,
        print::netdev_notice,
    ),
    gate(
        "netdev_info",
        &[Obj(Kind::NetDevice), Str, Format],
        Any,
        print::netdev_info,
    ),
    gate(
        "netdev_printk",
        &[Str, Obj(Kind::NetDevice), Str, Format],
        Any,
        print::netdev_printk,
    ),
    gate(
        "print_hex_dump",
        &[Str, Str, Word, Word, Word, Addr, Word, Word],
        Any,
        print::hex_dump,
    ),
    gate("dump_stack", &[], Any, print::dump_stack),
    gate(
        "snprintf",
        &[AddrOrNull, Word, Str, Format],
        Any,
        print::snprintf,
    ),
    gate(
        "scnprintf",
        &[AddrOrNull, Word, Str, Format],
        Any,
        print::scnprintf,
    ),
    gate("sprintf", &[Addr, Str, Format], Any, print::sprintf),
    gate(
        "vsnprintf",
        &[AddrOrNull, Word, Str, Addr],
        Any,
        print::vsnprintf,
    ),
    // Called where a driver was built with DEBUG; the other sites stay off in a domain.
    gate(
        "__dynamic_pr_debug",
        &[Word, Str, Format],
        Any,
        print::pr_debug,
    ),
    gate(
        "__dynamic_dev_dbg",
        &[Word, Obj(Kind::Device), Str, Format],
        Any,
        print::dev_debug,
    ),
    gate(
        "__dynamic_netdev_dbg",
        &[Word, Obj(Kind::NetDevice), Str, Format],
        Any,
        print::netdev_debug,
    ),
];
