// SPDX-License-Identifier: GPL-2.0

//! The fault handler's decisions, each on the registers and bytes that ring 3 would show.

use side_host_tests::fault_handler::bug::{number, BugEntry, NUMBERS};
use side_host_tests::fault_handler::classify::*;
use side_host_tests::fault_handler::decode::{decode, ends_with_call, SegmentBases};
use side_host_tests::fault_handler::emulate::*;
use side_host_tests::fault_handler::frame::{rflags, Frame, USER_CS, USER_SS};
use side_host_tests::fault_handler::kinds::Kind;
use side_host_tests::fault_handler::report::*;
use side_host_tests::fault_handler::ring::{Crossing, Ring, What};
use side_host_tests::fault_handler::verdict::{judge, refused, Verdict};
use std::fmt;

const TEXT: u64 = 0x10_0000;
const DATA: u64 = 0x20_0000;
const GUARD: u64 = 0x2f_0000;
const STACK: u64 = 0x30_0000;

struct Domain {
    bug: Option<BugEntry>,
    word: Option<u64>,
}

impl Facts for Domain {
    fn region(&self, address: u64) -> Region {
        match address & !0xffff {
            TEXT => Region::Text,
            DATA => Region::Data,
            GUARD => Region::StackGuard,
            STACK => Region::Stack,
            0x40_0000 => Region::Freed,
            0x50_0000 => Region::Token,
            _ => Region::Unmapped,
        }
    }

    fn bug(&self, _rip: u64) -> Option<BugEntry> {
        self.bug
    }

    fn segment_bases(&self) -> SegmentBases {
        SegmentBases { fs: 0, gs: 0x1000 }
    }

    fn word(&self, _address: u64) -> Option<u64> {
        self.word
    }
}

const DOMAIN: Domain = Domain {
    bug: None,
    word: None,
};

fn frame() -> Frame {
    Frame {
        rip: TEXT,
        cs: USER_CS,
        ss: USER_SS,
        rsp: STACK + 0x800,
        rflags: rflags::IF | rflags::FIXED,
        ..Frame::default()
    }
}

fn rule(frame: &Frame, vector: u8, error: u64, cr2: u64, code: &[u8]) -> &'static str {
    match judge(frame, vector, error, cr2, code, &DOMAIN) {
        Verdict::End(cause) => cause.rule(),
        Verdict::Emulate(_) => "emulate",
        Verdict::Continue { .. } => "continue",
    }
}

#[test]
fn page_faults_are_told_apart() {
    let load = [0x48, 0x8b, 0x07];
    let page = |error, cr2| rule(&frame(), vector::PF, error, cr2, &load);
    assert_eq!(page(4, 0x10), "null-pointer");
    assert_eq!(page(4, 0xffff_ffff_8100_0000), "kernel-address");
    assert_eq!(page(5, 0xffff_8880_0000_0000), "kernel-address");
    assert_eq!(page(4, 0x7f00_0000_0000), "unmapped-address");
    assert_eq!(page(7, TEXT + 8), "read-only");
    assert_eq!(page(0x15, DATA), "no-execute");
    assert_eq!(page(6, GUARD + 0xfff8), "stack-overflow");
    assert_eq!(page(4, 0x40_0008), "use-after-free");
    assert_eq!(page(4, 0x50_0008), "token-access");
}

#[test]
fn a_page_fault_knows_the_size_of_the_access() {
    let frame = Frame {
        rdi: 0x10,
        ..frame()
    };
    let cause = classify(&frame, vector::PF, 6, 0x12, &[0x48, 0x89, 0x07], &DOMAIN);
    assert_eq!(
        cause,
        Cause::WildAccess {
            address: 0x12,
            size: 8,
            write: true,
            exec: false,
            kind: Wild::Null
        }
    );
    assert_eq!(
        cause.to_string(),
        "write of 8 bytes at 0x0000000000000012: a NULL pointer"
    );
}

#[test]
fn protection_faults_are_decoded() {
    let gp = |frame: &Frame, code: &[u8]| rule(frame, vector::GP, 0, 0, code);
    let odd = Frame {
        rdi: 0x8000_0000_0000_0000,
        ..frame()
    };
    assert_eq!(gp(&odd, &[0x48, 0x8b, 0x07]), "non-canonical");
    let kernel = Frame {
        rdi: 0xffff_ffff_8100_0000,
        ..frame()
    };
    assert_eq!(gp(&kernel, &[0x48, 0x8b, 0x07]), "kernel-address");
    // call *%rdi and ret to such an address.
    assert_eq!(gp(&odd, &[0xff, 0xd7]), "non-canonical");
    let domain = Domain {
        bug: None,
        word: Some(0xffff_ffff_8100_0000),
    };
    let cause = classify(&frame(), vector::GP, 0, 0, &[0xc3], &domain);
    assert_eq!(cause.rule(), "kernel-address");
    // RIP itself.
    let gone = Frame {
        rip: 0xffff_ffff_8100_0000,
        ..frame()
    };
    assert_eq!(gp(&gone, &[]), "kernel-address");
    assert_eq!(gp(&frame(), &[0x48, 0x8b, 0x07]), "general-protection");
    // The stack segment: push with a stack pointer that is no address.
    let lost = Frame {
        rsp: 0x0100_0000_0000_0000,
        ..frame()
    };
    assert_eq!(rule(&lost, vector::SS, 0, 0, &[0x50]), "non-canonical");
}

#[test]
fn bit_tests_reach_far_from_their_operand() {
    // lock bts %rsi,(%rdi) with a bit number that leads into the kernel's half.
    let frame = Frame {
        rdi: 0,
        rsi: 0xffff_ffff_8100_0000 << 3,
        ..frame()
    };
    let code = [0xf0, 0x48, 0x0f, 0xab, 0x37];
    assert_eq!(rule(&frame, vector::GP, 0, 0, &code), "kernel-address");
}

#[test]
fn privileged_instructions_end_the_domain() {
    let cases: &[&[u8]] = &[
        &[0xf4],
        &[0x0f, 0x20, 0xd8],
        &[0x0f, 0x22, 0xc0],
        &[0x0f, 0x32],
        &[0x0f, 0x30],
        &[0x0f, 0x01, 0x10],
        &[0x0f, 0x01, 0x18],
        &[0x0f, 0x01, 0x38],
        &[0x0f, 0x09],
        &[0x0f, 0x01, 0xf8],
        &[0x0f, 0x23, 0xf8],
        &[0x0f, 0x00, 0xd8],
        &[0x0f, 0x00, 0xd0],
        &[0x0f, 0x06],
        &[0x0f, 0x01, 0xd1],
        &[0x48, 0xcf],
        &[0x48, 0x0f, 0x07],
    ];
    for code in cases {
        for vector in [vector::GP, vector::UD] {
            assert_eq!(
                rule(&frame(), vector, 0, 0, code),
                "privileged-instruction",
                "{code:x?}"
            );
        }
    }
}

#[test]
fn other_ways_into_the_kernel_end_the_domain() {
    assert_eq!(
        rule(&frame(), vector::UD, 0, 0, &[0x0f, 0x05]),
        "forbidden-entry"
    );
    assert_eq!(
        rule(&frame(), vector::GP, 0, 0, &[0x0f, 0x34]),
        "forbidden-entry"
    );
    assert_eq!(
        rule(&frame(), vector::GP, 0x402, 0, &[0xcd, 0x80]),
        "forbidden-entry"
    );
    assert_eq!(
        rule(&frame(), vector::GP, 0x1a, 0, &[0xcc]),
        "forbidden-entry"
    );
    assert_eq!(rule(&frame(), vector::BP, 0, 0, &[0x90]), "forbidden-entry");
    assert_eq!(
        rule(&frame(), vector::GP, 0x10, 0, &[0xff, 0x2f]),
        "forbidden-entry"
    );
    assert_eq!(
        rule(&frame(), vector::GP, 0x10, 0, &[0xcb]),
        "forbidden-entry"
    );
    // A far transfer that came through: whatever happens then, in 32-bit code.
    let compat = Frame {
        cs: 0x23,
        ..frame()
    };
    assert_eq!(rule(&compat, vector::PF, 0x14, 0, &[]), "forbidden-entry");
}

#[test]
fn the_rest_has_a_name_of_its_own() {
    assert_eq!(
        rule(&frame(), vector::NM, 0, 0, &[0x0f, 0x28, 0xc8]),
        "fpu-use"
    );
    assert_eq!(
        rule(&frame(), vector::DE, 0, 0, &[0xf7, 0xf1]),
        "divide-error"
    );
    assert_eq!(rule(&frame(), vector::DB, 0, 0, &[0x90]), "debug-trap");
    assert_eq!(rule(&frame(), vector::AC, 0, 0, &[0x90]), "alignment-check");
    assert_eq!(
        rule(&frame(), vector::UD, 0, 0, &[0x0f, 0x0b]),
        "invalid-opcode"
    );
    assert_eq!(rule(&frame(), vector::UD, 0, 0, &[0x06]), "invalid-opcode");
    assert_eq!(rule(&frame(), vector::MC, 0, DATA, &[]), "machine-check");
}

/// A `ud2` that the bug table knows is what the table says.
#[test]
fn the_bug_table_tells_warn_from_bug() {
    let bug = BugEntry {
        number: number(0, 0),
        warning: false,
        once: false,
        file: TEXT,
        line: 77,
    };
    let warning = BugEntry {
        number: number(0, 1),
        warning: true,
        once: true,
        ..bug
    };
    let judge_with = |bug| {
        let domain = Domain {
            bug: Some(bug),
            word: None,
        };
        judge(&frame(), vector::UD, 0, 0, &[0x0f, 0x0b], &domain)
    };
    assert_eq!(
        judge_with(warning),
        Verdict::Continue {
            rip: TEXT + 2,
            warning
        }
    );
    assert_eq!(judge_with(bug), Verdict::End(Cause::Bug { entry: bug }));
}

/// No two warnings of a domain have the same number, however many a module has.
#[test]
fn numbers_of_warnings_are_their_own() {
    let mut seen = std::collections::HashSet::new();
    for (part, index) in (0..6).flat_map(|part| (0..3000).map(move |index| (part, index))) {
        if let Some(number) = number(part, index) {
            assert!(number < NUMBERS && seen.insert(number), "{part} {index}");
        }
    }
    assert_eq!(seen.len(), NUMBERS);
}

fn run(code: &[u8], frame: &mut Frame, flags: &mut VirtualFlags) -> Action {
    let insn = decode(code).unwrap();
    emulate(&insn, frame, flags, &|port, size| {
        port >= 0x300 && port + u16::from(size) <= 0x320
    })
}

#[test]
fn cli_and_sti_are_virtual() {
    let (mut frame, mut flags) = (frame(), VirtualFlags::default());
    assert!(matches!(
        judge(&frame, vector::GP, 0, 0, &[0xfa], &DOMAIN),
        Verdict::Emulate(insn) if insn.kind == Kind::Cli
    ));
    assert_eq!(run(&[0xfa], &mut frame, &mut flags), Action::Resume);
    assert!(!flags.if_ && frame.rip == TEXT + 1 && frame.rflags & rflags::IF != 0);
    assert_eq!(run(&[0xfb], &mut frame, &mut flags), Action::Resume);
    assert!(flags.if_ && frame.rip == TEXT + 2);
    // clac and stac do nothing.
    assert_eq!(
        run(&[0x0f, 0x01, 0xcb], &mut frame, &mut flags),
        Action::Resume
    );
    assert_eq!(frame.rip, TEXT + 5);
}

#[test]
fn flags_are_saved_and_restored_as_the_driver_sees_them() {
    let (mut frame, mut flags) = (frame(), VirtualFlags { if_: false });
    frame.rflags |= rflags::IOPL | 1;
    let insn = decode(&[0x9c]).unwrap();
    assert_eq!(
        run(&[0x9c], &mut frame, &mut flags),
        Action::Push { size: 8, value: 3 }
    );
    assert_eq!(frame.rip, TEXT);
    complete_push(&mut frame, &insn);
    assert_eq!((frame.rip, frame.rsp), (TEXT + 1, STACK + 0x7f8));

    let insn = decode(&[0x9d]).unwrap();
    assert_eq!(
        run(&[0x9d], &mut frame, &mut flags),
        Action::Pop { size: 8 }
    );
    complete_pop(&mut frame, &insn, &mut flags, !0);
    assert_eq!((frame.rip, frame.rsp), (TEXT + 2, STACK + 0x800));
    assert!(flags.if_);
    assert_eq!(frame.rflags & (rflags::TF | rflags::NT | rflags::AC), 0);
    assert_eq!(frame.rflags & rflags::STATUS, rflags::STATUS);
    assert_ne!(frame.rflags & rflags::IF, 0);
}

#[test]
fn only_own_ports_are_reached() {
    let (mut frame, mut flags) = (frame(), VirtualFlags::default());
    frame.rdx = 0x300;
    frame.rax = 0x1122_3344_5566_7788;
    let insn = decode(&[0xec]).unwrap();
    assert_eq!(
        run(&[0xec], &mut frame, &mut flags),
        Action::PortIn {
            port: 0x300,
            size: 1
        }
    );
    complete_in(&mut frame, &insn, 0xabcd);
    assert_eq!((frame.rax, frame.rip), (0x1122_3344_5566_77cd, TEXT + 1));
    let insn = decode(&[0xed]).unwrap();
    complete_in(&mut frame, &insn, 0xffff_abcd);
    assert_eq!(frame.rax, 0xffff_abcd);
    assert_eq!(
        run(&[0x66, 0xef], &mut frame, &mut flags),
        Action::PortOut {
            port: 0x300,
            size: 2,
            value: 0xabcd
        }
    );
    let before = frame;
    frame.rdx = 0x31e;
    let Action::Forbidden(refusal) = run(&[0xef], &mut frame, &mut flags) else {
        panic!("the last two ports are foreign");
    };
    let insn = decode(&[0xef]).unwrap();
    assert_eq!(refused(&insn, refusal).rule(), "foreign-port");
    assert_eq!(frame.rip, before.rip);
    frame.rdx = 0xffff;
    assert!(matches!(
        run(&[0xef], &mut frame, &mut flags),
        Action::Forbidden(_)
    ));
    assert!(matches!(
        run(&[0xe4, 0x60], &mut frame, &mut flags),
        Action::Forbidden(_)
    ));
}

#[test]
fn string_transfers_can_be_done_in_parts() {
    let (mut frame, mut flags) = (frame(), VirtualFlags::default());
    frame.rdx = 0x310;
    frame.rcx = 5;
    frame.rdi = DATA;
    let code = [0xf3, 0x66, 0x6d];
    let insn = decode(&code).unwrap();
    let Action::PortString(transfer) = run(&code, &mut frame, &mut flags) else {
        panic!("rep insw is a string transfer");
    };
    assert_eq!((transfer.count, transfer.size, transfer.step), (5, 2, 2));
    assert!(transfer.input && transfer.address == DATA);
    complete_string(&mut frame, &insn, &transfer, 3);
    assert_eq!((frame.rcx, frame.rdi, frame.rip), (2, DATA + 6, TEXT));
    let Action::PortString(rest) = run(&code, &mut frame, &mut flags) else {
        panic!("the rest is left");
    };
    complete_string(&mut frame, &insn, &rest, rest.count);
    assert_eq!((frame.rcx, frame.rdi, frame.rip), (0, DATA + 10, TEXT + 3));
    assert_eq!(run(&code, &mut frame, &mut flags), Action::Resume);
}

#[test]
fn the_clock_is_supplied() {
    let (mut frame, mut flags) = (frame(), VirtualFlags::default());
    let insn = decode(&[0x0f, 0x01, 0xf9]).unwrap();
    assert_eq!(
        run(&[0x0f, 0x01, 0xf9], &mut frame, &mut flags),
        Action::ReadTsc
    );
    complete_tsc(&mut frame, &insn, 0x1234_5678_9abc_def0, 7);
    assert_eq!(
        (frame.rdx, frame.rax, frame.rcx),
        (0x1234_5678, 0x9abc_def0, 7)
    );
    assert_eq!(frame.rip, TEXT + 3);
}

#[test]
fn a_ring_keeps_the_newest() {
    let mut ring = Ring::<u32, 3>::new();
    assert_eq!(ring.iter().count(), 0);
    for n in 0..5 {
        ring.push(n);
    }
    assert_eq!(ring.iter().collect::<Vec<_>>(), [2, 3, 4]);
}

#[test]
fn return_addresses_follow_calls() {
    assert!(ends_with_call(&[0x90, 0x90, 0x90, 0xe8, 1, 2, 3, 4]));
    assert!(ends_with_call(&[0, 0, 0, 0, 0, 0, 0xff, 0xd0]));
    assert!(ends_with_call(&[0, 0, 0, 0, 0, 0x41, 0xff, 0xd3]));
    assert!(!ends_with_call(&[0x90; 8]));
    assert!(!ends_with_call(&[0xe8]));
}

struct Image;

impl Symbols for Image {
    fn write(&self, address: u64, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "probe+{:#x}/0x1000", address.wrapping_sub(TEXT))
    }

    fn is_text(&self, address: u64) -> bool {
        address & !0xffff == TEXT
    }

    fn byte(&self, address: u64) -> Option<u8> {
        // A call ends at each multiple of 16.
        self.is_text(address).then_some(match address & 15 {
            11 => 0xe8,
            _ => 0x90,
        })
    }
}

struct Log(Vec<String>);

impl Lines for Log {
    fn line(&mut self, text: fmt::Arguments<'_>) {
        self.0.push(text.to_string());
    }
}

#[test]
fn a_report_says_what_an_oops_says() {
    let frame = Frame {
        rip: TEXT + 0x40,
        rbp: STACK + 0x818,
        ..frame()
    };
    let word = |address: u64| match address - STACK {
        0x808 => Some(TEXT + 0x50),
        0x810 => Some(TEXT + 0x51),
        0x818 => Some(0),
        0x820 => Some(TEXT + 0x60),
        _ => Some(0),
    };
    let cause = Cause::WildAccess {
        address: 8,
        size: 4,
        write: false,
        exec: false,
        kind: Wild::Null,
    };
    let report = Report {
        driver: "e1000e",
        version: "7.3.4",
        upcall: "probe",
        cause: &cause,
        frame: Some(&frame),
        hardware: Some(Hardware {
            vector: 14,
            error: 4,
            cr2: 8,
        }),
        stack: Some(Stack {
            bounds: (STACK, STACK + 0x1000),
            word: &word,
        }),
        done: "the domain is ended",
    };
    let mut ring = Ring::<Crossing, 4>::new();
    ring.push(Crossing {
        what: What::Upcall("probe"),
        when: 1_000_002_000,
        args: [1, 0, 0],
    });
    ring.push(Crossing {
        what: What::Import("kfree"),
        when: 1_000_003_000,
        args: [0; 3],
    });
    let mut log = Log(Vec::new());
    report.write(&Image, &mut ring.iter(), &mut log);
    let text = log.0.join("\n");
    for wanted in [
        "SIDE: null-pointer in probe+0x40/0x1000 [e1000e]",
        "read of 4 bytes at 0x0000000000000008: a NULL pointer",
        "Driver: e1000e 7.3.4",
        "Upcall: probe",
        "RIP: 0033:probe+0x40/0x1000",
        " <90> ",
        "  ? probe+0x50/0x1000",
        "\n  probe+0x60/0x1000",
        " [    1.000002] upcall probe(0x1)",
        " [    1.000003] import kfree()",
        "Action: the domain is ended",
    ] {
        assert!(text.contains(wanted), "no {wanted:?} in\n{text}");
    }
    assert!(!text.contains("probe+0x51"), "no call ends there:\n{text}");
    // The stack pointer is the domain's claim: one that lies must not make the search long.
    for rsp in [0, u64::MAX, STACK + 0xfff] {
        let frame = Frame { rsp, ..frame };
        let report = Report {
            frame: Some(&frame),
            stack: None,
            ..report
        };
        report.write(&Image, &mut std::iter::empty(), &mut log);
    }
}

#[test]
fn nothing_that_a_domain_can_show_makes_the_handler_panic() {
    // A linear congruential generator is enough to cover prefixes, maps and registers.
    let mut state = 1u64;
    let mut next = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        state ^ (state >> 29)
    };
    let mut flags = VirtualFlags::default();
    for _ in 0..200_000 {
        let mut code = [0; 16];
        code[..8].copy_from_slice(&next().to_le_bytes());
        code[8..].copy_from_slice(&next().to_le_bytes());
        let code = &code[..(next() % 17) as usize];
        let mut frame = Frame {
            rip: next(),
            rsp: next(),
            rdi: next(),
            rsi: next(),
            rcx: next(),
            rdx: next(),
            ..frame()
        };
        let vector = (next() % 32) as u8;
        let cause = classify(&frame, vector, next() & 0x1f, next(), code, &DOMAIN);
        assert!(!cause.to_string().is_empty() && !cause.rule().is_empty());
        if let Ok(insn) = decode(code) {
            assert!(usize::from(insn.length) <= code.len() && insn.length <= 15);
            let _ = emulate(&insn, &mut frame, &mut flags, &|_, _| true);
        }
    }
}
