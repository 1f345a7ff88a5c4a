// SPDX-License-Identifier: GPL-2.0

//! Folders and files under /sys/kernel/side. What a file says and takes is decided by the callbacks
//! that `control.rs` gives; here is only the kernel's interface.

use super::bindings;
use core::fmt::{self, Write};
use kernel::error::to_result;
use kernel::prelude::*;

/// What shows a file: the folder's key (0 for the top) and where to write.
pub(crate) type Show = fn(u64, &mut Page<'_>) -> Result;
/// What takes a write: the folder's key and the text without its newline.
pub(crate) type Store = fn(u64, &[u8]) -> Result;

/// One file.
#[repr(C)]
pub(crate) struct File {
    attribute: bindings::kobj_attribute,
    show: Option<Show>,
    store: Option<Store>,
}

// SAFETY: constant after construction.
unsafe impl Sync for File {}

impl File {
    /// A file called `name` (NUL-terminated); readable by all where `show` is given, writable by
    /// root where `store` is.
    pub(crate) const fn new(
        name: &'static core::ffi::CStr,
        show: Option<Show>,
        store: Option<Store>,
    ) -> Self {
        let mode = if show.is_some() { 0o444 } else { 0 } | if store.is_some() { 0o200 } else { 0 };
        // SAFETY: zero is a value of this C structure.
        let mut attribute: bindings::kobj_attribute = unsafe { core::mem::zeroed() };
        // `as_char_ptr` is no constant function.
        #[allow(clippy::disallowed_methods)]
        let name = name.as_ptr();
        attribute.attr.name = name.cast();
        attribute.attr.mode = mode;
        attribute.__bindgen_anon_1.show = Some(show_file);
        attribute.__bindgen_anon_2.store = Some(store_file);
        File {
            attribute,
            show,
            store,
        }
    }
}

impl File {
    /// A file that only root may read.
    pub(crate) const fn secret(name: &'static core::ffi::CStr, show: Show) -> Self {
        let mut file = Self::new(name, Some(show), None);
        file.attribute.attr.mode = 0o400;
        file
    }
}

/// The page that a read of a file fills; what does not fit is cut.
pub(crate) struct Page<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl Write for Page<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.buffer.len() - self.len;
        let part = core::cmp::min(room, text.len());
        self.buffer[self.len..self.len + part].copy_from_slice(&text.as_bytes()[..part]);
        self.len += part;
        Ok(())
    }
}

/// A folder; dropping it removes it with its files.
pub(crate) struct Folder {
    kobject: *mut Keyed,
}

// SAFETY: the kobject is the kernel's; this value only holds a reference.
unsafe impl Send for Folder {}
// SAFETY: as above.
unsafe impl Sync for Folder {}

#[repr(C)]
struct Keyed {
    kobject: bindings::kobject,
    key: u64,
}

impl Folder {
    /// Makes `name` (without NUL) below `parent`, or below /sys/kernel, with `files`.
    pub(crate) fn new(
        name: &str,
        parent: Option<&Folder>,
        key: u64,
        files: &'static [File],
    ) -> Result<Folder> {
        let mut c_name = KVec::new();
        c_name.extend_from_slice(name.as_bytes(), GFP_KERNEL)?;
        c_name.push(0, GFP_KERNEL)?;
        let parent = match parent {
            Some(folder) => folder.kobject.cast(),
            // SAFETY: set at boot.
            None => unsafe { bindings::kernel_kobj },
        };
        // SAFETY: a NUL-terminated name, which is copied, and a live parent.
        let kobject = unsafe { bindings::side_folder_create(c_name.as_ptr().cast(), parent, key) };
        let kobject = kobject.cast::<Keyed>();
        if kobject.is_null() {
            return Err(ENOMEM);
        }
        let folder = Folder { kobject };
        for file in files {
            // SAFETY: a live kobject and an attribute that lives for ever.
            to_result(unsafe {
                bindings::sysfs_create_file_ns(
                    folder.kobject.cast(),
                    &raw const file.attribute.attr,
                    core::ptr::null(),
                )
            })?;
        }
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // SAFETY: this value holds the reference from `side_folder_create`.
        unsafe {
            bindings::kobject_del(self.kobject.cast());
            bindings::kobject_put(self.kobject.cast());
        }
    }
}

unsafe extern "C" fn show_file(
    kobject: *mut bindings::kobject,
    attribute: *mut bindings::kobj_attribute,
    buffer: *mut u8,
) -> isize {
    // SAFETY: only `File`s are registered, whose first field the attribute is, on `Keyed` folders.
    let (file, key) = unsafe { (&*attribute.cast::<File>(), (*kobject.cast::<Keyed>()).key) };
    let Some(show) = file.show else {
        return EIO.to_errno() as isize;
    };
    // SAFETY: sysfs gives a page.
    let buffer = unsafe { core::slice::from_raw_parts_mut(buffer, 4096) };
    let mut page = Page { buffer, len: 0 };
    match show(key, &mut page) {
        Ok(()) => page.len as isize,
        Err(error) => error.to_errno() as isize,
    }
}

unsafe extern "C" fn store_file(
    kobject: *mut bindings::kobject,
    attribute: *mut bindings::kobj_attribute,
    buffer: *const u8,
    count: usize,
) -> isize {
    // SAFETY: as in `show_file`.
    let (file, key) = unsafe { (&*attribute.cast::<File>(), (*kobject.cast::<Keyed>()).key) };
    let Some(store) = file.store else {
        return EIO.to_errno() as isize;
    };
    // SAFETY: sysfs gives `count` bytes.
    let text = unsafe { core::slice::from_raw_parts(buffer, count) };
    match store(key, text.trim_ascii()) {
        Ok(()) => count as isize,
        Err(error) => error.to_errno() as isize,
    }
}
