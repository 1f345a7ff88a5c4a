// SPDX-License-Identifier: GPL-2.0

//! Machines on which the switch would not be right: why, and the way out.

use super::processor::Processor;

/// The reason not to load on this machine, if there is one.
pub(crate) fn reason(processor: &Processor) -> Option<&'static str> {
    let reasons = [
        (
            processor.fred,
            "the CPU delivers events by FRED, which has no IDT to exchange; boot with `fred=off`",
        ),
        (
            processor.xen_pv,
            "Xen PV owns the page tables and the IDT; boot as an HVM or PVH guest",
        ),
        (
            processor.tdx_guest,
            "a TDX guest takes #VE, which the switcher does not handle; run outside of TDX",
        ),
        (
            processor.encrypted_state,
            "a SEV-ES or SEV-SNP guest takes #VC, which the switcher does not handle; use plain SEV-less guests",
        ),
        (
            processor.memory_encryption,
            "memory encryption changes page-table entries; boot with `mem_encrypt=off`",
        ),
        (
            processor.apx,
            "CR0.TS does not guard the APX registers r16 to r31; boot with `clearcpuid=apx`",
        ),
        (
            processor.amx,
            "CR0.TS does not guard the AMX tile configuration; boot with `clearcpuid=amx_tile`",
        ),
    ];
    reasons
        .iter()
        .find(|(applies, _)| *applies)
        .map(|(_, reason)| *reason)
}

/// What an administrator should know although the module loads.
pub(crate) fn remark(processor: &Processor) -> Option<&'static str> {
    if processor.umip {
        None
    } else {
        Some("without UMIP a domain can learn addresses of kernel tables by `sgdt` and `sidt`")
    }
}
