// SPDX-License-Identifier: GPL-2.0

//! Little-endian reads and writes at an offset of a byte slice. Nothing here can run past the
//! slice: an access that does not fit is `None`.

/// Returns the `len` bytes at `offset`.
pub fn slice(bytes: &[u8], offset: usize, len: usize) -> Option<&[u8]> {
    bytes.get(offset..offset.checked_add(len)?)
}

/// Returns the `N` bytes at `offset` as an array.
pub fn array<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    slice(bytes, offset, N)?.try_into().ok()
}

/// Reads a 16-bit number.
pub fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    array(bytes, offset).map(u16::from_le_bytes)
}

/// Reads a 32-bit number.
pub fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    array(bytes, offset).map(u32::from_le_bytes)
}

/// Reads a signed 32-bit number.
pub fn i32_at(bytes: &[u8], offset: usize) -> Option<i32> {
    array(bytes, offset).map(i32::from_le_bytes)
}

/// Reads a 64-bit number.
pub fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    array(bytes, offset).map(u64::from_le_bytes)
}

/// Writes `value` at `offset`.
pub fn put(bytes: &mut [u8], offset: usize, value: &[u8]) -> Option<()> {
    bytes
        .get_mut(offset..offset.checked_add(value.len())?)?
        .copy_from_slice(value);
    Some(())
}

/// Returns the NUL-terminated string at `offset`, without its NUL.
pub fn c_str(bytes: &[u8], offset: usize) -> Option<&[u8]> {
    let tail = bytes.get(offset..)?;
    let len = tail.iter().position(|&byte| byte == 0)?;
    tail.get(..len)
}

/// Returns the NUL-terminated string at `offset`, without its NUL, if it is at most `max` long:
/// a bound on the work that a table of strings without an end causes.
pub fn short_c_str(bytes: &[u8], offset: usize, max: usize) -> Option<&[u8]> {
    let tail = bytes.get(offset..)?;
    c_str(tail.get(..max.checked_add(1)?).unwrap_or(tail), 0)
}

/// Rounds `value` up to a multiple of `align`, a power of two.
pub fn align_up(value: usize, align: usize) -> Option<usize> {
    let mask = align.checked_sub(1)?;
    Some(value.checked_add(mask)? & !mask)
}
