// SPDX-License-Identifier: GPL-2.0

//! Driver files: reading and decompressing. Process context, may sleep.

use super::bindings;
use kernel::alloc::AllocError;
use kernel::prelude::*;

/// The largest driver file, before and after decompression, in bytes.
pub(crate) const MAX_FILE: usize = 64 << 20;

/// Why a driver file could not be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The path is not absolute or holds a NUL.
    BadPath,
    /// The kernel could not open or read it.
    Io(Error),
    /// The compressed data is damaged or of a kind that the kernel does not know.
    BadCompression(&'static str),
    /// It is larger than [`MAX_FILE`] once decompressed.
    TooLarge,
}

impl ReadError {
    pub(crate) fn errno(&self) -> Error {
        match self {
            ReadError::BadPath => EINVAL,
            ReadError::Io(error) => *error,
            ReadError::BadCompression(_) => EINVAL,
            ReadError::TooLarge => EFBIG,
        }
    }
}

impl core::fmt::Display for ReadError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            ReadError::BadPath => f.write_str("the path is not absolute"),
            ReadError::Io(error) => write!(f, "cannot be read (error {})", error.to_errno()),
            ReadError::BadCompression(kind) => write!(f, "damaged {kind} data"),
            ReadError::TooLarge => write!(f, "larger than {} MiB", MAX_FILE >> 20),
        }
    }
}

/// Reads the file at `path` and, where it begins as xz or zstd data, decompresses it.
pub(crate) fn read_driver(path: &[u8]) -> Result<KVVec<u8>, ReadError> {
    let raw = read(path)?;
    if raw.starts_with(b"\xfd7zXZ\0") {
        unxz(&raw)
    } else if raw.starts_with(b"\x28\xb5\x2f\xfd") {
        unzstd(&raw)
    } else {
        Ok(raw)
    }
}

fn nomem(_: AllocError) -> ReadError {
    ReadError::Io(ENOMEM)
}

fn zeroed(len: usize) -> Result<KVVec<u8>, ReadError> {
    let mut buffer = KVVec::new();
    buffer.resize(len, 0, GFP_KERNEL).map_err(nomem)?;
    Ok(buffer)
}

/// Reads the file at `path` as it is.
pub(crate) fn read(path: &[u8]) -> Result<KVVec<u8>, ReadError> {
    if path.first() != Some(&b'/') || path.contains(&0) {
        return Err(ReadError::BadPath);
    }
    let mut c_path = KVec::new();
    c_path.extend_from_slice(path, GFP_KERNEL).map_err(nomem)?;
    c_path.push(0, GFP_KERNEL).map_err(nomem)?;
    let mut data: *mut core::ffi::c_void = core::ptr::null_mut();
    // SAFETY: the path is NUL-terminated; with a NULL buffer the kernel allocates one.
    let len = unsafe {
        bindings::kernel_read_file_from_path(
            c_path.as_ptr().cast(),
            0,
            &mut data,
            MAX_FILE,
            core::ptr::null_mut(),
            bindings::kernel_read_file_id_READING_MODULE,
        )
    };
    if len < 0 {
        return Err(ReadError::Io(Error::from_errno(len as i32)));
    }
    let mut copy = KVVec::new();
    // SAFETY: the kernel filled `len` bytes at `data`.
    let bytes = unsafe { core::slice::from_raw_parts(data.cast::<u8>(), len as usize) };
    let copied = copy.extend_from_slice(bytes, GFP_KERNEL);
    // SAFETY: `data` was allocated by the kernel for us, with vmalloc.
    unsafe { bindings::vfree(data) };
    copied.map_err(nomem)?;
    Ok(copy)
}

fn unxz(raw: &[u8]) -> Result<KVVec<u8>, ReadError> {
    let bad = || ReadError::BadCompression("xz");
    // SAFETY: no special demands; the result is checked. A dictionary may be as large as the file.
    let decoder = unsafe { bindings::xz_dec_init(bindings::xz_mode_XZ_DYNALLOC, MAX_FILE as u32) };
    if decoder.is_null() {
        return Err(ReadError::Io(ENOMEM));
    }
    let mut out = KVVec::new();
    let mut chunk = zeroed(1 << 16)?;
    let mut buffer = bindings::xz_buf {
        in_: raw.as_ptr(),
        in_pos: 0,
        in_size: raw.len(),
        out: chunk.as_mut_ptr(),
        out_pos: 0,
        out_size: chunk.len(),
    };
    let result = loop {
        buffer.out_pos = 0;
        // SAFETY: the buffers are as long as they say and outlive the call.
        let status = unsafe { bindings::xz_dec_run(decoder, &mut buffer) };
        if out.len() + buffer.out_pos > MAX_FILE {
            break Err(ReadError::TooLarge);
        }
        if let Err(error) = out.extend_from_slice(&chunk[..buffer.out_pos], GFP_KERNEL) {
            break Err(nomem(error));
        }
        match status {
            bindings::xz_ret_XZ_STREAM_END => break Ok(()),
            bindings::xz_ret_XZ_OK if buffer.in_pos < buffer.in_size || buffer.out_pos > 0 => {}
            bindings::xz_ret_XZ_UNSUPPORTED_CHECK => {}
            bindings::xz_ret_XZ_MEM_ERROR => break Err(ReadError::Io(ENOMEM)),
            _ => break Err(bad()),
        }
    };
    // SAFETY: from `xz_dec_init`, and not used again.
    unsafe { bindings::xz_dec_end(decoder) };
    result.map(|()| out)
}

fn unzstd(raw: &[u8]) -> Result<KVVec<u8>, ReadError> {
    let bad = || ReadError::BadCompression("zstd");
    let mut header = bindings::zstd_frame_header::default();
    // SAFETY: reads at most `raw.len()` bytes.
    let status =
        unsafe { bindings::zstd_get_frame_header(&mut header, raw.as_ptr().cast(), raw.len()) };
    if status != 0 {
        return Err(bad());
    }
    // Files made by streaming do not tell their size; then it is bounded by what is allowed.
    let size = match header.frameContentSize {
        u64::MAX => MAX_FILE as u64,
        size => size,
    };
    if size > MAX_FILE as u64 {
        return Err(ReadError::TooLarge);
    }
    let mut out = zeroed(size as usize)?;
    // SAFETY: no demands.
    let bound = unsafe { bindings::zstd_dctx_workspace_bound() };
    let mut workspace = zeroed(bound)?;
    // SAFETY: the workspace is as long as it says and outlives the context.
    let context = unsafe { bindings::zstd_init_dctx(workspace.as_mut_ptr().cast(), bound) };
    if context.is_null() {
        return Err(ReadError::Io(ENOMEM));
    }
    // SAFETY: both buffers are as long as they say.
    let done = unsafe {
        bindings::zstd_decompress_dctx(
            context,
            out.as_mut_ptr().cast(),
            out.len(),
            raw.as_ptr().cast(),
            raw.len(),
        )
    };
    // SAFETY: a pure function of the code.
    if unsafe { bindings::zstd_is_error(done) } != 0 {
        return Err(bad());
    }
    out.truncate(done);
    Ok(out)
}

/// The folder of the running kernel's modules, with a slash at its end.
pub(crate) fn modules_folder() -> Result<KVec<u8>> {
    // The version magic begins with the release.
    let release = vermagic().split(|&byte| byte == b' ').next();
    let mut path = KVec::new();
    path.extend_from_slice(b"/lib/modules/", GFP_KERNEL)?;
    path.extend_from_slice(release.unwrap_or(b""), GFP_KERNEL)?;
    path.push(b'/', GFP_KERNEL)?;
    Ok(path)
}

/// The running kernel's vermagic string, as this module's own build has it.
pub(crate) fn vermagic() -> &'static [u8] {
    // SAFETY: the shim returns a string literal.
    unsafe { CStr::from_char_ptr(bindings::side_vermagic().cast()) }.to_bytes()
}
