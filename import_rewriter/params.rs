// SPDX-License-Identifier: GPL-2.0

//! The driver's own module parameters: lists them, stores values into the relocated image before
//! the driver starts, and prints them.
//!
//! The table is the section `__param`, an array of the kernel's `struct kernel_param`. Which kind
//! a parameter has is told by the name of the operations that its entry points to, in the
//! relocations of the file: the pointer's value means nothing in a domain. A parameter with
//! operations of the driver's own is listed, and cannot be set: that would be a call into the
//! driver before it is initialised.

use super::bytes::{c_str, put, short_c_str, slice, u16_at, u32_at, u64_at};
use super::elf::Place;
use super::error::Name;
use super::layout::{Group, Layout, Placed};
use super::params_text::{number, same_name, truth, Arguments};
use core::fmt;

const PARAM_SIZE: usize = 40;
const PARAM_OPS: usize = 16;
const PARAM_PERM: usize = 24;
const PARAM_ARG: usize = 32;
const ARRAY_OPS: usize = 16;

/// The longest name of a parameter.
const NAME_MAX: usize = 255;

/// More parameters than any driver has; the rest of a longer table is ignored.
const MAX_PARAMS: usize = 512;

/// The longest string parameter, as in the kernel.
const STRING_MAX: usize = 1024;

/// What a parameter, or an element of an array parameter, holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// `unsigned char`.
    Byte,
    /// `short`.
    Short,
    /// `unsigned short`.
    UShort,
    /// `int`.
    Int,
    /// `unsigned int`.
    UInt,
    /// `unsigned int`, shown in hexadecimal.
    HexInt,
    /// `long`.
    Long,
    /// `unsigned long` and `unsigned long long`.
    ULong,
    /// `bool`.
    Bool,
    /// `bool`, with its meaning turned around.
    InvBool,
    /// `int` that takes truth values.
    BoolInt,
    /// Pointer to a string.
    CharP,
}

impl Scalar {
    fn from_ops(name: &[u8]) -> Option<Scalar> {
        Some(match name {
            b"param_ops_byte" => Scalar::Byte,
            b"param_ops_short" => Scalar::Short,
            b"param_ops_ushort" => Scalar::UShort,
            b"param_ops_int" => Scalar::Int,
            b"param_ops_uint" => Scalar::UInt,
            b"param_ops_hexint" => Scalar::HexInt,
            b"param_ops_long" => Scalar::Long,
            b"param_ops_ulong" | b"param_ops_ullong" => Scalar::ULong,
            b"param_ops_bool" => Scalar::Bool,
            b"param_ops_invbool" => Scalar::InvBool,
            b"param_ops_bint" => Scalar::BoolInt,
            b"param_ops_charp" => Scalar::CharP,
            _ => return None,
        })
    }

    /// Bytes in memory.
    pub fn size(self) -> usize {
        match self {
            Scalar::Byte | Scalar::Bool | Scalar::InvBool => 1,
            Scalar::Short | Scalar::UShort => 2,
            Scalar::Int | Scalar::UInt | Scalar::HexInt | Scalar::BoolInt => 4,
            Scalar::Long | Scalar::ULong | Scalar::CharP => 8,
        }
    }

    /// Least and greatest number, for the kinds that hold one.
    fn range(self) -> Option<(i128, i128)> {
        Some(match self {
            Scalar::Byte => (0, u8::MAX.into()),
            Scalar::Short => (i16::MIN.into(), i16::MAX.into()),
            Scalar::UShort => (0, u16::MAX.into()),
            Scalar::Int => (i32::MIN.into(), i32::MAX.into()),
            Scalar::UInt | Scalar::HexInt => (0, u32::MAX.into()),
            Scalar::Long => (i64::MIN.into(), i64::MAX.into()),
            Scalar::ULong => (0, u64::MAX.into()),
            Scalar::Bool | Scalar::InvBool | Scalar::BoolInt | Scalar::CharP => return None,
        })
    }

    /// The name that a user knows the kind by.
    pub fn as_str(self) -> &'static str {
        match self {
            Scalar::Byte => "byte",
            Scalar::Short => "short",
            Scalar::UShort => "ushort",
            Scalar::Int => "int",
            Scalar::UInt => "uint",
            Scalar::HexInt => "hexint",
            Scalar::Long => "long",
            Scalar::ULong => "ulong",
            Scalar::Bool => "bool",
            Scalar::InvBool => "invbool",
            Scalar::BoolInt => "bint",
            Scalar::CharP => "charp",
        }
    }
}

/// An array parameter; offsets are into the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array {
    /// What each element holds.
    pub element: Scalar,
    /// Greatest number of elements.
    pub max: u32,
    /// Distance of one element from the next.
    pub stride: usize,
    /// Where the number of elements given is stored.
    pub count: Option<usize>,
    /// The first element.
    pub first: usize,
}

/// What a parameter is; offsets are into the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One value.
    Scalar(Scalar, usize),
    /// Several values.
    Array(Array),
    /// A string that is copied into a buffer of `size` bytes, its NUL included.
    Buffer {
        /// The buffer.
        at: usize,
        /// Its size.
        size: usize,
    },
    /// Stored by a function of the driver.
    Custom,
}

/// A parameter of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    /// Name.
    pub name: &'a [u8],
    /// Permissions that the file in sysfs would have.
    pub mode: u16,
    /// What it holds and where.
    pub kind: Kind,
}

/// Why a parameter was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamError {
    /// The driver has no parameter of this name.
    Unknown(Name),
    /// The value cannot be read as the parameter's kind, or is out of its range.
    BadValue {
        /// The parameter.
        param: Name,
        /// The text given.
        value: Name,
    },
    /// A value is missing.
    NoValue(Name),
    /// More values than the array holds.
    ArrayTooLong {
        /// The parameter.
        param: Name,
        /// What the array holds.
        max: u32,
    },
    /// The string does not fit.
    StringTooLong(Name),
    /// The driver stores it by a function of its own.
    NotSettable(Name),
    /// The driver's own description of the parameter points nowhere.
    Broken(Name),
}

impl ParamError {
    /// The error number that a load refused for this reason returns, negative as in the kernel.
    pub fn errno(&self) -> i32 {
        match self {
            ParamError::Unknown(_) => -2,
            ParamError::Broken(_) => -8,
            ParamError::StringTooLong(_) => -28,
            ParamError::NotSettable(_) => -95,
            _ => -22,
        }
    }
}

impl fmt::Display for ParamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParamError::Unknown(name) => write!(f, "unknown parameter '{name}'"),
            ParamError::BadValue { param, value } => {
                write!(f, "'{value}' is invalid for parameter '{param}'")
            }
            ParamError::NoValue(name) => write!(f, "parameter '{name}' needs a value"),
            ParamError::ArrayTooLong { param, max } => {
                write!(f, "parameter '{param}' can only take {max} values")
            }
            ParamError::StringTooLong(name) => {
                write!(f, "value of parameter '{name}' is too long")
            }
            ParamError::NotSettable(name) => {
                write!(
                    f,
                    "parameter '{name}' has a set function of its own, not supported"
                )
            }
            ParamError::Broken(name) => {
                write!(
                    f,
                    "the driver's description of parameter '{name}' is damaged"
                )
            }
        }
    }
}

/// Lists the parameters of a relocated `image`.
pub fn list<'a>(placed: &Placed<'a>, image: &'a [u8]) -> impl Iterator<Item = Param<'a>> + 'a {
    let placed = *placed;
    (0..table_len(&placed)).filter_map(move |index| param(&placed, image, index))
}

/// Stores the values that `line` gives into the relocated `image`; strings go to the string area
/// of `layout`. The first error ends it, and the image is then not to be run.
pub fn apply(
    placed: &Placed<'_>,
    layout: &Layout,
    image: &mut [u8],
    line: &[u8],
) -> Result<(), ParamError> {
    let mut setter = Setter {
        placed,
        layout,
        image,
        strings: layout.strings.start,
    };
    for argument in Arguments::new(line) {
        setter.set(argument.name, argument.value)?;
    }
    Ok(())
}

/// Prints the value of a parameter as sysfs would, without a newline.
pub fn show(
    placed: &Placed<'_>,
    image: &[u8],
    param: &Param<'_>,
    out: &mut dyn fmt::Write,
) -> fmt::Result {
    match param.kind {
        Kind::Scalar(scalar, at) => show_scalar(placed, image, scalar, at, out),
        Kind::Array(array) => {
            let given = array
                .count
                .and_then(|at| u32_at(image, at))
                .unwrap_or(array.max);
            for index in 0..given.min(array.max) {
                if index > 0 {
                    out.write_char(',')?;
                }
                let at = element(&array, index).unwrap_or(usize::MAX);
                show_scalar(placed, image, array.element, at, out)?;
            }
            Ok(())
        }
        Kind::Buffer { at, size } => {
            let buffer = slice(image, at, size).unwrap_or(&[]);
            let text = c_str(buffer, 0).unwrap_or(buffer);
            write!(out, "{}", text.escape_ascii())
        }
        Kind::Custom => out.write_str("?"),
    }
}

fn show_scalar(
    placed: &Placed<'_>,
    image: &[u8],
    scalar: Scalar,
    at: usize,
    out: &mut dyn fmt::Write,
) -> fmt::Result {
    let mut bytes = [0; 8];
    let Some(value) = slice(image, at, scalar.size()) else {
        return out.write_str("?");
    };
    let _ = put(&mut bytes, 0, value);
    let wide = u64::from_le_bytes(bytes);
    // Shifting up and down again extends the sign.
    let unused = 64 - 8 * scalar.size() as u32;
    let signed = ((wide << unused) as i64) >> unused;
    let truth = |yes: bool| if yes { "Y" } else { "N" };
    match scalar {
        Scalar::Bool => out.write_str(truth(wide != 0)),
        Scalar::InvBool => out.write_str(truth(wide == 0)),
        Scalar::HexInt => write!(out, "{wide:#08x}"),
        Scalar::Short | Scalar::Int | Scalar::Long | Scalar::BoolInt => write!(out, "{signed}"),
        Scalar::Byte | Scalar::UShort | Scalar::UInt | Scalar::ULong => write!(out, "{wide}"),
        Scalar::CharP if wide == 0 => out.write_str("(null)"),
        Scalar::CharP => match placed.offset(wide).and_then(|at| c_str(image, at)) {
            Some(text) => write!(out, "{}", text.escape_ascii()),
            None => out.write_str("?"),
        },
    }
}

fn table_len(placed: &Placed<'_>) -> usize {
    placed
        .placement_named(b"__param")
        .map_or(0, |table| table.size / PARAM_SIZE)
}

/// Name and place of an entry: the section that it lies in, its offset there and in the image.
struct Entry<'a> {
    name: &'a [u8],
    section: usize,
    in_section: usize,
    at: usize,
}

fn entry<'a>(placed: &Placed<'_>, image: &'a [u8], index: usize) -> Option<Entry<'a>> {
    let section = placed.elf.section_named(b"__param")?.index;
    let in_section = index.checked_mul(PARAM_SIZE)?;
    let at = placed.placement(section)?.offset.checked_add(in_section)?;
    let name = short_c_str(image, placed.offset(u64_at(image, at)?)?, NAME_MAX)?;
    // A name is a file name in sysfs.
    if name.is_empty() || name.contains(&b'/') {
        return None;
    }
    Some(Entry {
        name,
        section,
        in_section,
        at,
    })
}

fn param<'a>(placed: &Placed<'a>, image: &'a [u8], index: usize) -> Option<Param<'a>> {
    let entry = entry(placed, image, index)?;
    let mode = u16_at(image, entry.at + PARAM_PERM)?;
    Some(Param {
        name: entry.name,
        mode,
        kind: kind(placed, image, &entry)?,
    })
}

fn kind(placed: &Placed<'_>, image: &[u8], entry: &Entry<'_>) -> Option<Kind> {
    let arg = placed.offset(u64_at(image, entry.at + PARAM_ARG)?);
    let ops = ops_name(placed, entry.section, entry.in_section + PARAM_OPS);
    Some(match ops {
        Some(b"param_array_ops") => match array(placed, image, arg?)? {
            Some(array) => Kind::Array(array),
            None => Kind::Custom,
        },
        Some(b"param_ops_string") => {
            let at = arg?;
            let size = u32_at(image, at)? as usize;
            Kind::Buffer {
                at: placed.offset(u64_at(image, at + 8)?)?,
                size,
            }
        }
        Some(name) => match Scalar::from_ops(name) {
            Some(scalar) => Kind::Scalar(scalar, arg?),
            None => Kind::Custom,
        },
        None => Kind::Custom,
    })
}

/// The array that the `struct kparam_array` at `at` describes; the inner `None` says that its
/// elements have operations of the driver's own, the outer one that it points nowhere.
fn array(placed: &Placed<'_>, image: &[u8], at: usize) -> Option<Option<Array>> {
    let (section, offset) = placed.section_at(at)?;
    let ops = ops_name(placed, section, offset + ARRAY_OPS);
    let Some(element) = ops.and_then(Scalar::from_ops) else {
        return Some(None);
    };
    let count = match u64_at(image, at + 8)? {
        0 => None,
        address => Some(placed.offset(address)?),
    };
    let array = Array {
        element,
        max: u32_at(image, at)?,
        stride: u32_at(image, at + 4)? as usize,
        count,
        first: placed.offset(u64_at(image, at + 24)?)?,
    };
    // All elements lie in the image, which also bounds their number.
    let end = array
        .first
        .checked_add(array.stride.checked_mul(array.max as usize)?)?;
    (array.stride >= element.size() && end <= image.len()).then_some(Some(array))
}

/// The name of the kernel's operations that the pointer at `offset` of `section` refers to.
fn ops_name<'a>(placed: &Placed<'a>, section: usize, offset: usize) -> Option<&'a [u8]> {
    let entry = placed.elf.relocation_at(section, offset)?;
    let symbol = placed.elf.symbol(entry.symbol)?;
    (symbol.place == Place::Undefined && entry.addend == 0).then_some(symbol.name)
}

fn element(array: &Array, index: u32) -> Option<usize> {
    array
        .first
        .checked_add(array.stride.checked_mul(index as usize)?)
}

/// Stores values; `strings` is the first free byte of the string area.
struct Setter<'s> {
    placed: &'s Placed<'s>,
    layout: &'s Layout,
    image: &'s mut [u8],
    strings: usize,
}

impl Setter<'_> {
    fn set(&mut self, name: &[u8], value: Option<&[u8]>) -> Result<(), ParamError> {
        let quoted = Name::new(name);
        let found = (0..table_len(self.placed))
            .filter_map(|index| entry(self.placed, self.image, index))
            .find(|entry| same_name(entry.name, name))
            .ok_or(ParamError::Unknown(quoted))?;
        let kind = kind(self.placed, self.image, &found).ok_or(ParamError::Broken(quoted))?;
        let value = match (kind, value) {
            (_, Some(value)) => value,
            (Kind::Scalar(Scalar::Bool | Scalar::BoolInt, _), None) => b"1",
            (_, None) => return Err(ParamError::NoValue(quoted)),
        };
        match kind {
            Kind::Scalar(scalar, at) => self.set_scalar(quoted, scalar, at, value),
            Kind::Array(array) => self.set_array(quoted, &array, value),
            Kind::Buffer { at, size } => {
                if value.len() >= size {
                    return Err(ParamError::StringTooLong(quoted));
                }
                self.write(quoted, at, value)?;
                self.write(quoted, at.saturating_add(value.len()), &[0])
            }
            Kind::Custom => Err(ParamError::NotSettable(quoted)),
        }
    }

    fn set_array(&mut self, name: Name, array: &Array, value: &[u8]) -> Result<(), ParamError> {
        let mut given: u32 = 0;
        for text in value.split(|&byte| byte == b',') {
            if given == array.max {
                return Err(ParamError::ArrayTooLong {
                    param: name,
                    max: array.max,
                });
            }
            let at = element(array, given).ok_or(ParamError::Broken(name))?;
            self.set_scalar(name, array.element, at, text)?;
            given += 1;
        }
        match array.count {
            Some(at) => self.write(name, at, &given.to_le_bytes()),
            None => Ok(()),
        }
    }

    fn set_scalar(
        &mut self,
        name: Name,
        scalar: Scalar,
        at: usize,
        text: &[u8],
    ) -> Result<(), ParamError> {
        let bad = ParamError::BadValue {
            param: name,
            value: Name::new(text),
        };
        let value = match scalar {
            Scalar::CharP => i128::from(self.store_string(name, text)?),
            Scalar::Bool | Scalar::BoolInt => i128::from(truth(text).ok_or(bad)?),
            Scalar::InvBool => i128::from(!truth(text).ok_or(bad)?),
            _ => number(text)
                .filter(|value| {
                    scalar
                        .range()
                        .is_some_and(|(min, max)| (min..=max).contains(value))
                })
                .ok_or(bad)?,
        };
        // An unsigned kind takes a plus sign, but no minus sign, not even before a zero.
        let unsigned = scalar.range().is_some_and(|(min, _)| min == 0);
        if unsigned && text.first() == Some(&b'-') {
            return Err(bad);
        }
        let bytes = value.to_le_bytes();
        let bytes = bytes.get(..scalar.size()).ok_or(ParamError::Broken(name))?;
        self.write(name, at, bytes)
    }

    /// Puts a string into the string area and returns its domain address.
    fn store_string(&mut self, name: Name, text: &[u8]) -> Result<u64, ParamError> {
        let start = self.strings;
        let end = start
            .checked_add(text.len())
            .and_then(|end| end.checked_add(1));
        let end = end
            .filter(|&end| end <= self.layout.strings.end && text.len() <= STRING_MAX)
            .ok_or(ParamError::StringTooLong(name))?;
        self.write(name, start, text)?;
        self.write(name, end - 1, &[0])?;
        self.strings = end;
        Ok(self.placed.address(start))
    }

    /// Writes into the image's data; a parameter that lies elsewhere is none.
    fn write(&mut self, name: Name, at: usize, bytes: &[u8]) -> Result<(), ParamError> {
        let broken = ParamError::Broken(name);
        if self.layout.group(at) != Some(Group::Data) {
            return Err(broken);
        }
        put(self.image, at, bytes).ok_or(broken)
    }
}
