// SPDX-License-Identifier: GPL-2.0

//! The printf that a driver's text goes through. Where the kernel's rules are the C library's, the
//! expected text is what bash's printf (the C library's, for numbers and strings) gives for the same
//! format; where they differ, it follows from lib/vsprintf.c.

use side_host_tests::format::{format, level, Args, Sink, CONVERSIONS_MAX, TEXT_MAX};
use std::collections::VecDeque;
use std::fmt::Write;
use std::process::Command;

/// Arguments, and memory that begins at `BASE`.
#[derive(Default)]
struct Fake {
    words: VecDeque<u64>,
    lists: Vec<VecDeque<u64>>,
    memory: Vec<u8>,
}

const BASE: u64 = 0x3000_8000;

impl Fake {
    fn new(words: &[u64]) -> Self {
        Fake {
            words: words.iter().copied().collect(),
            ..Fake::default()
        }
    }

    /// Puts bytes into memory and returns their address.
    fn put(&mut self, bytes: &[u8]) -> u64 {
        let address = BASE + self.memory.len() as u64;
        self.memory.extend_from_slice(bytes);
        self.memory
            .resize(self.memory.len().next_multiple_of(64), 0);
        address
    }
}

impl Args for Fake {
    fn word(&mut self) -> u64 {
        self.words.pop_front().expect("no argument is left")
    }
    fn bytes(&mut self, address: u64, into: &mut [u8]) -> bool {
        let from = address.wrapping_sub(BASE) as usize;
        match from
            .checked_add(into.len())
            .and_then(|end| self.memory.get(from..end))
        {
            Some(bytes) => {
                into.copy_from_slice(bytes);
                true
            }
            None => false,
        }
    }
    fn symbol(&mut self, address: u64, out: &mut dyn Write) {
        write!(out, "function+{address:#x}").unwrap();
    }
    fn push(&mut self, _: u64) -> bool {
        let list = VecDeque::from([7, 0xbeef]);
        self.lists.push(std::mem::replace(&mut self.words, list));
        self.lists.len() < 3
    }
    fn pop(&mut self) {
        self.words = self.lists.pop().unwrap();
    }
}

struct Out(Vec<u8>);

impl Sink for Out {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }
}

fn with(fake: &mut Fake, template: &str) -> String {
    let mut out = Out(Vec::new());
    format(template.as_bytes(), fake, &mut out);
    assert!(fake.words.is_empty(), "{template}: arguments left");
    String::from_utf8(out.0).unwrap()
}

fn print(template: &str, words: &[u64]) -> String {
    with(&mut Fake::new(words), template)
}

/// The text for one pointer to `bytes`.
fn pointed(template: &str, bytes: &[u8]) -> String {
    let mut fake = Fake::default();
    let address = fake.put(bytes);
    fake.words.push_back(address);
    with(&mut fake, template)
}

/// The C library's text for one number.
fn library(template: &str, value: &str) -> String {
    library_all(&[(template.to_string(), value.to_string())]).remove(0)
}

/// The same for many, by one process.
fn library_all(pairs: &[(String, String)]) -> Vec<String> {
    let script = "while [ $# -gt 0 ]; do printf -- \"$1\\n\" \"$2\"; shift 2; done";
    let output = Command::new("bash")
        .args(["-c", script, "printf"])
        .args(pairs.iter().flat_map(|(template, value)| [template, value]))
        .output()
        .unwrap();
    assert!(output.status.success());
    let lines: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_string)
        .collect();
    assert_eq!(lines.len(), pairs.len());
    lines
}

#[test]
fn numbers_as_in_the_c_library() {
    let values = [
        "0",
        "1",
        "-1",
        "7",
        "255",
        "-255",
        "2147483647",
        "9223372036854775807",
    ];
    let flags = ["", "-", "+", " ", "0", "-0", "+0", "- ", "0+"];
    let mut pairs = Vec::new();
    let mut ours = Vec::new();
    for value in values {
        let word = value.parse::<i64>().unwrap() as u64;
        for flag in flags {
            for width in ["", "1", "5", "12", "30"] {
                for kind in ["d", "i", "u", "x", "X", "o"] {
                    pairs.push((format!("<%{flag}{width}{kind}>"), value.to_string()));
                    ours.push(print(&format!("<%{flag}{width}l{kind}>"), &[word]));
                }
            }
        }
    }
    for (pair, (ours, theirs)) in pairs.iter().zip(ours.iter().zip(library_all(&pairs))) {
        assert_eq!(*ours, theirs, "{pair:?}");
    }
}

#[test]
fn precision_as_in_the_c_library() {
    for value in ["1", "-1", "42", "123456"] {
        let word = value.parse::<i64>().unwrap() as u64;
        for spec in [".1", ".3", "8.3", "-8.3", "+8.5", "3.8", ".10"] {
            for kind in ["d", "u", "x", "o"] {
                let theirs = format!("<%{spec}{kind}>");
                let ours = format!("<%{spec}l{kind}>");
                assert_eq!(
                    print(&ours, &[word]),
                    library(&theirs, value),
                    "{ours} of {value}"
                );
            }
        }
    }
}

#[test]
fn prefixes_as_in_the_c_library_but_for_zero() {
    for value in ["1", "8", "255", "65535"] {
        let word = value.parse::<u64>().unwrap();
        for spec in ["#", "#10", "#010", "-#10", "#.6"] {
            for kind in ["x", "X"] {
                let template = format!("<%{spec}{kind}>");
                assert_eq!(
                    print(&template, &[word]),
                    library(&template, value),
                    "{template}"
                );
            }
        }
        let template = "<%#10o>";
        assert_eq!(print(template, &[word]), library(template, value));
    }
    // The kernel has a prefix here, too.
    assert_eq!(
        print("%#x %#X %#o %#06x", &[0, 0, 0, 0]),
        "0x0 0X0 0 0x0000"
    );
}

#[test]
fn precision_where_the_kernel_differs() {
    assert_eq!(print("[%.0d] [%.0u]", &[0, 0]), "[0] [0]");
    // The flag 0 goes on in front of the precision.
    assert_eq!(print("[%08.3d]", &[5]), "[00000005]");
    // A negative precision is none of characters, not no precision.
    let mut fake = Fake::default();
    let text = fake.put(b"text\0");
    fake.words.extend([-1i32 as u32 as u64, text, text]);
    assert_eq!(with(&mut fake, "[%.*s] [%.s]"), "[] [text]");
}

#[test]
fn lengths() {
    let word = 0x1234_5678_9abc_def0;
    assert_eq!(print("%hhx %hx %x %lx %llx %Lx %zx %tx", &[word; 8]),
        "f0 def0 9abcdef0 123456789abcdef0 123456789abcdef0 123456789abcdef0 123456789abcdef0 123456789abcdef0");
    assert_eq!(
        print("%hhd %hd %d", &[0xff, 0xffff, 0xffff_ffff]),
        "-1 -1 -1"
    );
    // The upper half of a register says nothing about an int.
    assert_eq!(print("%d %u", &[0xdead_0000_0001, 0xdead_0000_0001]), "1 1");
}

#[test]
fn width_and_precision_from_arguments() {
    assert_eq!(
        print(
            "[%*d] [%-*d] [%*d]",
            &[5, 42, 5, 42, -5i32 as u32 as u64, 42]
        ),
        "[   42] [42   ] [42   ]"
    );
    assert_eq!(
        print("[%.*d] [%*.*x]", &[4, 7, 6, 3, 0xa]),
        "[0007] [   00a]"
    );
}

#[test]
fn strings() {
    for spec in ["", "10", "-10", ".3", "10.3", "-10.3", ".0", "2"] {
        let template = format!("<%{spec}s>");
        assert_eq!(
            pointed(&template, b"string\0"),
            library(&template, "string"),
            "{template}"
        );
    }
    let long = [b'a'; 3000];
    assert_eq!(pointed("%s", &[&long[..], b"\0"].concat()).len(), 3000);
    // Not a byte of text is changed.
    let mut fake = Fake::new(&[0x1b]);
    assert_eq!(with(&mut fake, "%c\x07"), "\x1b\x07");
}

#[test]
fn pointers_to_nowhere() {
    let error = -12i64 as u64;
    assert_eq!(
        print("%s %s %s", &[0, 100, error]),
        "(null) (efault) (efault)"
    );
    assert_eq!(
        print("[%10s] [%-10s] [%.3s]", &[0, 0, 0]),
        "[    (null)] [(null)    ] [(nu]"
    );
    assert_eq!(
        print("%pM %pI4 %pa %pU %6ph", &[0, 1, BASE, BASE, BASE]),
        "(null) (efault) (efault) (efault) (efault)"
    );
    assert_eq!(print("%s", &[0x7fff_0000]), "(efault)");
    // A string that the end of memory cuts is shown as far as it goes.
    let mut fake = Fake {
        memory: vec![b'a'; 64],
        ..Fake::default()
    };
    fake.words.push_back(BASE);
    assert_eq!(with(&mut fake, "%s"), "a".repeat(64));
}

#[test]
fn addresses() {
    assert_eq!(print("%p", &[0x3000_8b28]), "0000000030008b28");
    assert_eq!(
        print("[%20p] [%-20p] [%px]", &[0xab, 0xab, 0xab]),
        "[                  ab] [ab                  ] [00000000000000ab]"
    );
    assert_eq!(print("%pK", &[0xab]), "00000000000000ab");
    assert_eq!(
        print("%pS|%ps|%pB", &[1, 2, 3]),
        "function+0x1|function+0x2|function+0x3"
    );
}

#[test]
fn error_pointers() {
    let error = |number: i64| number.wrapping_neg() as u64;
    assert_eq!(
        print("%pe %pe %pe", &[error(12), error(110), error(517)]),
        "-ENOMEM -ETIMEDOUT -EPROBE_DEFER"
    );
    assert_eq!(
        print("[%10pe] [%pe]", &[error(5), error(4000)]),
        "[      -EIO] [-4000]"
    );
    assert_eq!(print("%pe", &[0x3000_0000]), "0000000030000000");
}

#[test]
fn hardware_and_network_addresses() {
    let mac = [0x52, 0x54, 0, 0x12, 0x34, 0xaf];
    let shown = ["%pM", "%pm", "%pMF", "%pMR", "%pMFU", "%pmR"].map(|t| pointed(t, &mac));
    assert_eq!(
        shown,
        [
            "52:54:00:12:34:af",
            "5254001234af",
            "52-54-00-12-34-af",
            "af:34:12:00:54:52",
            "52-54-00-12-34-AF",
            "af3412005452"
        ]
    );
    assert_eq!(pointed("[%20pM]", &mac), "[   52:54:00:12:34:af]");
    let shown =
        ["%pI4", "%pi4", "%pI4h", "%pI4n", "%pI4l", "%pI4b"].map(|t| pointed(t, &[10, 9, 0, 255]));
    assert_eq!(
        shown,
        [
            "10.9.0.255",
            "010.009.000.255",
            "255.0.9.10",
            "10.9.0.255",
            "255.0.9.10",
            "10.9.0.255"
        ]
    );
}

#[test]
fn ipv6_addresses() {
    let cases = [
        "::",
        "::1",
        "fd09::2",
        "2001:db8:0:1:1:1:1:1",
        "2001:db8::1:0:0:1",
        "1:2:3:4:5:6:7:8",
        "::ffff:10.9.0.2",
        "fe80::200:5efe:10.9.0.2",
    ];
    for case in cases {
        let octets = case.parse::<std::net::Ipv6Addr>().unwrap().octets();
        assert_eq!(pointed("%pI6c", &octets), case);
    }
    let octets = "fd09::2".parse::<std::net::Ipv6Addr>().unwrap().octets();
    assert_eq!(
        pointed("%pI6", &octets),
        "fd09:0000:0000:0000:0000:0000:0000:0002"
    );
    assert_eq!(pointed("%pi6", &octets), "fd090000000000000000000000000002");
}

#[test]
fn bytes_in_hexadecimal() {
    let bytes = [0u8, 1, 0xab, 0xff];
    assert_eq!(pointed("%4ph", &bytes), "00 01 ab ff");
    assert_eq!(pointed("%3phC|", &bytes), "00:01:ab|");
    assert_eq!(pointed("%4phD", &bytes), "00-01-ab-ff");
    assert_eq!(pointed("%4phN", &bytes), "0001abff");
    assert_eq!(pointed("%ph", &bytes), "00");
    let mut fake = Fake::default();
    let address = fake.put(&bytes);
    fake.words.extend([2, address, 0, address]);
    assert_eq!(with(&mut fake, "[%*ph] [%*ph]"), "[00 01] []");
}

#[test]
fn physical_addresses_features_and_uuids() {
    let word = 0xfebc_0000u64.to_le_bytes();
    let shown = ["%pa", "%pad", "%pap.", "%pNF", "[%30pa]"].map(|t| pointed(t, &word));
    assert_eq!(
        shown,
        [
            "0x00000000febc0000",
            "0x00000000febc0000",
            "0x00000000febc0000.",
            "0x00000000febc0000",
            "[0x00000000febc0000]"
        ]
    );
    let uuid: Vec<u8> = (0..16).collect();
    assert_eq!(
        pointed("%pUb", &uuid),
        "00010203-0405-0607-0809-0a0b0c0d0e0f"
    );
    assert_eq!(
        pointed("%pUL", &uuid),
        "03020100-0504-0706-0809-0A0B0C0D0E0F"
    );
}

#[test]
fn resources() {
    let resource =
        |start: u64, end: u64, flags: u64| [start, end, 0, flags].map(u64::to_le_bytes).concat();
    let memory = resource(0xfebc_0000, 0xfebd_ffff, 0x0014_2200);
    assert_eq!(
        pointed("%pR", &memory),
        "[mem 0xfebc0000-0xfebdffff 64bit pref]"
    );
    assert_eq!(
        pointed("%pr", &memory),
        "[mem 0xfebc0000-0xfebdffff flags 0x142200]"
    );
    assert_eq!(
        pointed("%pR", &resource(0xc000, 0xc01f, 0x100)),
        "[io  0xc000-0xc01f]"
    );
    assert_eq!(pointed("%pR", &resource(11, 11, 0x400)), "[irq 11]");
    assert_eq!(pointed("%pR", &resource(0, 0xff, 0x1000)), "[bus 00-ff]");
    assert_eq!(
        pointed("%pR", &resource(0, 0xfff, 0x2000_0200)),
        "[mem size 0x00001000]"
    );
}

#[test]
fn a_format_within_a_format() {
    let mut fake = Fake::default();
    let template = fake.put(b"n=%d x=%#x\0");
    let format = fake.put(&[template.to_le_bytes(), BASE.to_le_bytes()].concat());
    fake.words.extend([format, 9]);
    assert_eq!(with(&mut fake, "<%pV> %d"), "<n=7 x=0xbeef> 9");
}

#[test]
fn what_is_not_known() {
    // The kernel stops: the arguments are out of step from here on.
    assert_eq!(print("a%n b%d", &[]), "a");
    assert_eq!(print("100%% sure%", &[]), "100% sure");
    // Letters after an extension belong to it.
    assert_eq!(print("%pxyz.", &[1]), "0000000000000001.");
}

#[test]
fn levels() {
    assert_eq!(level(b"\x013text"), (Some(b'3'), &b"text"[..]));
    assert_eq!(level(b"text"), (None, &b"text"[..]));
}

#[test]
fn nothing_takes_forever() {
    let mut fake = Fake::new(&[i32::MAX as u64, 1, i32::MIN as u32 as u64, 1]);
    assert_eq!(with(&mut fake, "%*d%*d").len(), 2 * 4096);
}

/// Any number of arguments, each a `%pV` at `BASE` whose format is `template`, in two levels.
struct Deep {
    template: &'static str,
    level: usize,
    words: usize,
}

impl Args for Deep {
    fn word(&mut self) -> u64 {
        self.words += 1;
        BASE
    }
    fn bytes(&mut self, address: u64, into: &mut [u8]) -> bool {
        let list = [BASE + 64, 0].map(u64::to_le_bytes).concat();
        let (from, memory) = match address - BASE {
            0 => (0, list.as_slice()),
            offset => (offset as usize - 64, self.template.as_bytes()),
        };
        let bytes = memory.iter().skip(from).chain(std::iter::repeat(&0));
        into.iter_mut()
            .zip(bytes)
            .for_each(|(to, byte)| *to = *byte);
        true
    }
    fn symbol(&mut self, _: u64, _: &mut dyn Write) {}
    fn push(&mut self, _: u64) -> bool {
        let may = self.level < 2;
        self.level += usize::from(may);
        may
    }
    fn pop(&mut self) {
        self.level -= 1;
    }
}

fn deep(template: &'static str) -> (usize, usize) {
    let mut out = Out(Vec::new());
    let mut args = Deep {
        template,
        level: 0,
        words: 0,
    };
    format(template.repeat(100).as_bytes(), &mut args, &mut out);
    (out.0.len(), args.words)
}

#[test]
fn a_text_ends_however_formats_are_nested() {
    // A width from the arguments, and a format that is nested twice; it is as large as it may be.
    let (len, _) = deep("%*d%pV%*d%pV%*d%pV%*d%pV%*d%pV%*d%pV%*d%pV%*d%pV%*d%pV%*d%pV%*d%pV");
    assert_eq!(len, TEXT_MAX);
    // Conversions that print nothing count as well.
    let (len, words) = deep("%.0s%pV%.0s%pV%.0s%pV%.0s%pV%.0s%pV%.0s%pV%.0s%pV%.0s%pV%.0s%pV");
    assert!(len < TEXT_MAX, "{len}");
    assert_eq!(words, CONVERSIONS_MAX);
    // Names have to be looked for.
    let shown = print(&"%pS".repeat(100), &[7; 100]);
    assert_eq!(shown.matches("function+0x7").count(), 16);
    // Also in one format alone.
    let words = vec![0x7fff_ffff; 200];
    let mut out = Out(Vec::new());
    format(
        "%*d".repeat(100).as_bytes(),
        &mut Fake::new(&words),
        &mut out,
    );
    assert_eq!(out.0.len(), TEXT_MAX);
}
