// SPDX-License-Identifier: GPL-2.0

//! Object tables: a handle from the driver means something only if the domain's table of its kind
//! holds it. The handle is the domain address of the shadow or of the embedded object.

use crate::sys::lock::BhLock;
use kernel::alloc::flags::GFP_ATOMIC;
use kernel::prelude::*;
use kernel::rbtree::RBTree;
use kernel::sync::Arc;

/// The live objects of one kind in one domain, by handle. Any context but hard interrupts.
pub(crate) struct Table<T> {
    entries: BhLock<RBTree<u64, Arc<T>>>,
}

impl<T: Send + Sync> Table<T> {
    pub(crate) fn new() -> Self {
        Table {
            entries: BhLock::new(RBTree::new()),
        }
    }

    /// Enters `object` under `handle`. Errors: EEXIST if the handle is taken, ENOMEM.
    pub(crate) fn insert(&self, handle: u64, object: Arc<T>) -> Result {
        let mut entries = self.entries.lock();
        if entries.get(&handle).is_some() {
            return Err(EEXIST);
        }
        entries.try_create_and_insert(handle, object, GFP_ATOMIC)?;
        Ok(())
    }

    /// The object under `handle`.
    pub(crate) fn get(&self, handle: u64) -> Option<Arc<T>> {
        self.entries.lock().get(&handle).cloned()
    }

    /// Takes the object under `handle` out.
    pub(crate) fn remove(&self, handle: u64) -> Option<Arc<T>> {
        let mut entries = self.entries.lock();
        entries.remove(&handle)
    }

    /// Takes any object out: for the release of everything.
    pub(crate) fn pop(&self) -> Option<(u64, Arc<T>)> {
        let mut entries = self.entries.lock();
        let handle = *entries.keys().next()?;
        let object = entries.remove(&handle)?;
        Some((handle, object))
    }

    /// All objects by their handles, without holding the lock between two of them: one that comes or goes meanwhile
    /// may be among them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Arc<T>)> + '_ {
        let mut from = Some(0);
        core::iter::from_fn(move || {
            let entries = self.entries.lock();
            let cursor = entries.cursor_lower_bound(&from?)?;
            let (handle, object) = cursor.current();
            from = handle.checked_add(1);
            Some((*handle, object.clone()))
        })
    }

    /// Whether `f` is true of any object; those after it are not looked at. The lock is not held meanwhile.
    pub(crate) fn any(&self, f: impl Fn(&T) -> bool) -> bool {
        self.iter().any(|(_, object)| f(&object))
    }

    /// Number of live objects.
    pub(crate) fn len(&self) -> usize {
        self.entries.lock().keys().count()
    }
}
