// SPDX-License-Identifier: GPL-2.0

//! Page pools: a driver may make one. Pages come from one only where the driver has an XDP program of
//! its own, which is not offered, or where it receives into pool pages, which is not supported: the
//! imports that hand pages out are denied.

use crate::call::{errno, Call, Outcome, Violation};
use crate::sys::net_layout::{PAGE_POOL_PARAMETERS, PAGE_POOL_SIZE};
use kernel::prelude::*;

/// `page_pool_create(params)`: the driver's own copy of the parameters stands for the pool.
pub(crate) fn create(call: &mut Call<'_>) -> Outcome {
    call.domain
        .memory
        .check(call.arg(0), PAGE_POOL_PARAMETERS, false)?;
    Ok(match call.domain.memory.alloc(PAGE_POOL_SIZE) {
        Ok(pool) => pool,
        Err(_) => errno(ENOMEM),
    })
}

/// `page_pool_destroy(pool)`
pub(crate) fn destroy(call: &mut Call<'_>) -> Outcome {
    let pool = call.arg(0);
    if pool != 0 && call.domain.memory.free(pool).is_err() {
        return Err(Violation::new("not-a-page-pool", pool));
    }
    Ok(0)
}
