// SPDX-License-Identifier: GPL-2.0

//! The text form of module parameters, by the rules of the kernel's command line: how a line is
//! cut into `name=value` pairs (`next_arg`) and how a value is read (`kstrto*`).

/// One argument of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument<'a> {
    /// What stands before the first `=`.
    pub name: &'a [u8],
    /// What stands after it, without surrounding quotes; `None` without a `=`.
    pub value: Option<&'a [u8]>,
}

/// Cuts a line into its arguments.
#[derive(Clone, Copy)]
pub struct Arguments<'a> {
    rest: &'a [u8],
}

impl<'a> Arguments<'a> {
    /// Starts at the beginning of `line`, which ends at its first NUL if it has one.
    pub fn new(line: &'a [u8]) -> Arguments<'a> {
        let end = line
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(line.len());
        Arguments {
            rest: line.get(..end).unwrap_or(line),
        }
    }
}

impl<'a> Iterator for Arguments<'a> {
    type Item = Argument<'a>;

    fn next(&mut self) -> Option<Argument<'a>> {
        let mut rest = self.rest.trim_ascii_start();
        if rest.is_empty() {
            return None;
        }
        let quoted = rest.first() == Some(&b'"');
        if quoted {
            rest = rest.get(1..)?;
        }
        let mut in_quotes = quoted;
        let mut equals = None;
        let mut end = rest.len();
        for (index, &byte) in rest.iter().enumerate() {
            if byte.is_ascii_whitespace() && !in_quotes {
                end = index;
                break;
            }
            if byte == b'=' && equals.is_none() && index > 0 {
                equals = Some(index);
            }
            if byte == b'"' {
                in_quotes = !in_quotes;
            }
        }
        self.rest = rest.get(end..)?;
        let mut word = rest.get(..end)?;
        if quoted {
            word = word.strip_suffix(b"\"").unwrap_or(word);
        }
        let Some(equals) = equals else {
            return Some(Argument {
                name: word,
                value: None,
            });
        };
        let mut value = word.get(equals + 1..).unwrap_or(&[]);
        if let Some(inner) = value.strip_prefix(b"\"") {
            value = inner.strip_suffix(b"\"").unwrap_or(inner);
        }
        Some(Argument {
            name: word.get(..equals)?,
            value: Some(value),
        })
    }
}

/// Whether two parameter names are the same: `-` and `_` are equal.
pub fn same_name(left: &[u8], right: &[u8]) -> bool {
    let plain = |byte: &u8| if *byte == b'-' { b'_' } else { *byte };
    left.iter().map(plain).eq(right.iter().map(plain))
}

/// Reads a whole number: decimal, `0x` hexadecimal or `0` octal, with an optional sign.
pub fn number(text: &[u8]) -> Option<i128> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let (radix, digits) = match digits {
        [b'0', b'x' | b'X', digits @ ..] => (16, digits),
        [b'0', digits @ ..] if !digits.is_empty() => (8, digits),
        digits => (10, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: i128 = 0;
    for &digit in digits {
        let digit = char::from(digit).to_digit(radix)?;
        value = value * i128::from(radix) + i128::from(digit);
        if value > i128::from(u64::MAX) {
            return None;
        }
    }
    Some(if negative { -value } else { value })
}

/// Reads a truth value.
pub fn truth(text: &[u8]) -> Option<bool> {
    match text {
        [b'e' | b'E' | b'y' | b'Y' | b't' | b'T' | b'1', ..] => Some(true),
        [b'd' | b'D' | b'n' | b'N' | b'f' | b'F' | b'0', ..] => Some(false),
        [b'o' | b'O', b'n' | b'N', ..] => Some(true),
        [b'o' | b'O', b'f' | b'F', ..] => Some(false),
        _ => None,
    }
}
