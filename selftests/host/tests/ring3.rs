// SPDX-License-Identifier: GPL-2.0

//! The pure functions of the ring-3 library, called as ordinary functions on the host: the same
//! text that a domain runs, copied to executable memory.

use std::ffi::c_void;

core::arch::global_asm!(
    include_str!("../../../side_stubs/ring3/library.S"),
    include_str!("../../../side_stubs/ring3/end.S"),
    // What is counted from the virtual CPU is not called here.
    preempt_count = const 0,
    irq_disabled = const 8,
    pending = const 16,
    softirq_disable = const 512,
    yield_stub = const 0,
    library_base = const 0,
    options(att_syntax)
);

extern "C" {
    static side_ring3_text: u8;
    static side_ring3_text_end: u8;
    static side_ring3_names: u8;
    static side_ring3_names_end: u8;
    fn mmap(
        at: *mut c_void,
        len: usize,
        prot: i32,
        flags: i32,
        fd: i32,
        offset: i64,
    ) -> *mut c_void;
}

/// The bytes between two labels.
fn between(begin: *const u8, end: *const u8) -> &'static [u8] {
    // SAFETY: the labels enclose constant data, in this order.
    unsafe { std::slice::from_raw_parts(begin, end as usize - begin as usize) }
}

/// The address of a function in an executable copy of the library.
fn function(name: &str) -> usize {
    static COPY: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    let text = between(&raw const side_ring3_text, &raw const side_ring3_text_end);
    let base = *COPY.get_or_init(|| {
        const READ_WRITE_EXECUTE: i32 = 7;
        const PRIVATE_ANONYMOUS: i32 = 0x22;
        // SAFETY: new memory, which is as long as what is copied.
        unsafe {
            let at = mmap(
                std::ptr::null_mut(),
                text.len(),
                READ_WRITE_EXECUTE,
                PRIVATE_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(at as isize, -1);
            std::ptr::copy_nonoverlapping(text.as_ptr(), at.cast(), text.len());
            at as usize
        }
    });
    let mut rest = between(&raw const side_ring3_names, &raw const side_ring3_names_end);
    while let [a, b, c, d, len, tail @ ..] = rest {
        let (found, next) = tail.split_at(usize::from(*len));
        if found == name.as_bytes() {
            return base + u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        }
        rest = next;
    }
    panic!("the library has no {name}");
}

/// Calls a function of the library with up to three words.
fn call(name: &str, args: [usize; 3]) -> usize {
    // SAFETY: the functions of this file's tests take at most three words and keep the C rules.
    let function: extern "C" fn(usize, usize, usize) -> usize =
        unsafe { std::mem::transmute(function(name)) };
    function(args[0], args[1], args[2])
}

fn at(bytes: &[u8]) -> usize {
    bytes.as_ptr() as usize
}

fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

/// Numbers that repeat from run to run (a linear congruential generator).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % limit
    }
}

#[test]
fn memcpy_and_memset() {
    let mut numbers = Numbers(1);
    for _ in 0..500 {
        let source: Vec<u8> = (0..128).map(|_| numbers.below(256) as u8).collect();
        let (from, to, len) = (numbers.below(32), numbers.below(32), numbers.below(64));
        let mut target = vec![0xaa; 128];
        let mut expected = target.clone();
        expected[to..to + len].copy_from_slice(&source[from..from + len]);
        let address = target.as_mut_ptr() as usize + to;
        assert_eq!(call("memcpy", [address, at(&source) + from, len]), address);
        assert_eq!(target, expected);
        let fill = numbers.below(1 << 20);
        expected[to..to + len].fill(fill as u8);
        assert_eq!(call("memset", [address, fill, len]), address);
        assert_eq!(target, expected);
    }
}

#[test]
fn memmove_of_what_overlaps() {
    let mut numbers = Numbers(2);
    for name in ["memmove", "__memmove"] {
        for _ in 0..500 {
            let mut memory: Vec<u8> = (0..128).map(|_| numbers.below(256) as u8).collect();
            let (from, to, len) = (numbers.below(64), numbers.below(64), numbers.below(64));
            let mut expected = memory.clone();
            expected.copy_within(from..from + len, to);
            let base = memory.as_mut_ptr() as usize;
            assert_eq!(call(name, [base + to, base + from, len]), base + to);
            assert_eq!(memory, expected, "{from} to {to}, {len} bytes");
        }
    }
}

#[test]
fn comparing_and_searching_memory() {
    let (one, two) = (b"abc\0def\xff", b"abc\0dez\x01");
    for len in 0..=8 {
        let sign = (call("memcmp", [at(one), at(two), len]) as i32).signum();
        assert_eq!(sign, one[..len].cmp(&two[..len]) as i32);
    }
    // Bytes are compared without a sign.
    assert!((call("memcmp", [at(&[0xff]), at(&[1]), 1]) as i32) > 0);
    assert_eq!(call("memchr", [at(one), usize::from(b'd'), 8]), at(one) + 4);
    assert_eq!(call("memchr", [at(one), usize::from(b'd'), 4]), 0);
    let same = [7u8; 20];
    assert_eq!(call("memchr_inv", [at(&same), 7, 20]), 0);
    assert_eq!(
        call("memchr_inv", [at(one), usize::from(b'a'), 8]),
        at(one) + 1
    );
}

#[test]
fn lengths_of_strings() {
    for len in 0..40 {
        let string = text(&"x".repeat(len));
        assert_eq!(call("strlen", [at(&string), 0, 0]), len);
        for limit in 0..45 {
            assert_eq!(call("strnlen", [at(&string), limit, 0]), len.min(limit));
        }
    }
}

#[test]
fn comparing_strings() {
    let words = ["", "a", "ab", "abc", "abd", "b", "\u{ff}"];
    for one in words {
        for two in words {
            let (a, b) = (text(one), text(two));
            let sign = (call("strcmp", [at(&a), at(&b), 0]) as i32).signum();
            assert_eq!(
                sign,
                one.as_bytes().cmp(two.as_bytes()) as i32,
                "{one} {two}"
            );
            for limit in 0..5 {
                let cut = |word: &str| word.bytes().take(limit).collect::<Vec<u8>>();
                let sign = (call("strncmp", [at(&a), at(&b), limit]) as i32).signum();
                assert_eq!(sign, cut(one).cmp(&cut(two)) as i32, "{one} {two} {limit}");
            }
        }
    }
}

#[test]
fn searching_strings() {
    let string = text("eth0.7.7");
    let base = at(&string);
    let dot = usize::from(b'.');
    assert_eq!(call("strchr", [base, dot, 0]), base + 4);
    assert_eq!(call("strrchr", [base, dot, 0]), base + 6);
    assert_eq!(call("strchr", [base, usize::from(b'x'), 0]), 0);
    assert_eq!(call("strrchr", [base, usize::from(b'x'), 0]), 0);
    // The end counts as a character.
    assert_eq!(call("strchr", [base, 0, 0]), base + 8);
    assert_eq!(call("strrchr", [base, 0, 0]), base + 8);
}

#[test]
fn copying_strings() {
    let source = text("abcdef");
    let mut target = text("xy..............");
    target[2] = 0;
    let base = target.as_mut_ptr() as usize;
    assert_eq!(call("strcat", [base, at(&source), 0]), base);
    assert_eq!(&target[..9], b"xyabcdef\0");
    assert_eq!(call("strcpy", [base, at(&source), 0]), base);
    assert_eq!(&target[..9], b"abcdef\0f\0");
    target.fill(b'.');
    assert_eq!(call("strncpy", [base, at(&source), 10]), base);
    assert_eq!(&target[..11], b"abcdef\0\0\0\0.");
    target.fill(b'.');
    call("strncpy", [base, at(&source), 3]);
    assert_eq!(&target[..4], b"abc.");
}

#[test]
fn copying_strings_with_a_limit() {
    const E2BIG: usize = 7;
    let source = text("abcdef");
    for size in 0..12usize {
        let mut target = vec![b'.'; 16];
        let base = target.as_mut_ptr() as usize;
        let result = call("sized_strscpy", [base, at(&source), size]);
        match size {
            0 => assert_eq!(target, vec![b'.'; 16]),
            1..=6 => {
                assert_eq!(&target[..size - 1], &source[..size - 1]);
                assert_eq!(target[size - 1], 0);
            }
            _ => assert_eq!(&target[..7], b"abcdef\0"),
        }
        let expected = if size > 6 { 6 } else { E2BIG.wrapping_neg() };
        assert_eq!(result, expected, "{size}");
        assert!(target[size..].iter().all(|byte| *byte == b'.'));
    }
}

#[test]
fn counting_bits() {
    let mut numbers = Numbers(3);
    for _ in 0..200 {
        let value = (numbers.below(1 << 31) << 33) | numbers.below(1 << 31);
        assert_eq!(
            call("__sw_hweight64", [value, 0, 0]) as u32,
            value.count_ones()
        );
        let low = value as u32;
        assert_eq!(
            call("__sw_hweight32", [low as usize, 0, 0]) as u32,
            low.count_ones()
        );
    }
}

#[test]
fn finding_bits() {
    let mut numbers = Numbers(4);
    for _ in 0..200 {
        let words: Vec<u64> = (0..3)
            .map(|_| (1 << numbers.below(64)) | (1 << numbers.below(64)))
            .collect();
        let other: Vec<u64> = words
            .iter()
            .map(|word| word & word.wrapping_neg())
            .collect();
        let size = numbers.below(192) + 1;
        let start = numbers.below(200);
        let bit = |words: &[u64], n: usize| (words[n / 64] >> (n % 64)) & 1 != 0;
        let next = |from: usize, wanted: &dyn Fn(usize) -> bool| {
            (from..size).find(|n| wanted(*n)).unwrap_or(size)
        };
        let base = words.as_ptr() as usize;
        let set = |n: usize| bit(&words, n);
        assert_eq!(call("_find_first_bit", [base, size, 0]), next(0, &set));
        assert_eq!(
            call("_find_next_bit", [base, size, start]),
            next(start, &set)
        );
        let clear = |n: usize| !bit(&words, n);
        assert_eq!(
            call("_find_first_zero_bit", [base, size, 0]),
            next(0, &clear)
        );
        assert_eq!(
            call("_find_next_zero_bit", [base, size, start]),
            next(start, &clear)
        );
        let last = (0..size).rev().find(|n| set(*n)).unwrap_or(size);
        assert_eq!(call("_find_last_bit", [base, size, 0]), last);
        let weight = (0..size).filter(|n| set(*n)).count();
        assert_eq!(
            call("__bitmap_weight", [base, size, 0]) as u32 as usize,
            weight
        );
        // SAFETY: four words, by the C rules.
        let find: extern "C" fn(usize, usize, usize, usize) -> usize =
            unsafe { std::mem::transmute(function("_find_next_and_bit")) };
        let both = |n: usize| set(n) && bit(&other, n);
        assert_eq!(
            find(base, other.as_ptr() as usize, size, start),
            next(start, &both)
        );
    }
}
