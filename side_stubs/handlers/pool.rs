// SPDX-License-Identifier: GPL-2.0

//! DMA pools: blocks of coherent memory of one size. Each block is an allocation of its own, with the
//! checks and the release of `dma`; a pool is a number by which the driver names a size and a device.

use super::dma;
use super::pci::PciDevice;
use crate::call::{Call, Outcome, Violation};
use crate::domain::Domain;
use crate::objects::Table;
use crate::sys::access::PAGE;
use core::sync::atomic::{AtomicU64, Ordering};
use kernel::prelude::*;
use kernel::sync::Arc;

/// Pools that one driver may have, and the largest block.
const POOLS_MAX: usize = 64;
const BLOCK_MAX: u64 = 1 << 20;

/// One pool.
pub(crate) struct Pool {
    device: Arc<PciDevice>,
    size: u64,
    /// Blocks that the driver holds.
    live: AtomicU64,
}

/// What a domain holds of pools, by the address of a token in its heap.
pub(crate) struct State {
    pools: Table<Pool>,
}

impl State {
    pub(crate) fn new() -> Self {
        State {
            pools: Table::new(),
        }
    }

    /// Forgets all pools; their blocks are given back by `dma`.
    pub(crate) fn release(&self, _domain: &Arc<Domain>) {
        while self.pools.pop().is_some() {}
    }
}

fn find(call: &Call<'_>) -> Result<Arc<Pool>, Violation> {
    let handle = call.arg(0);
    let pool = call.domain.pool.pools.get(handle);
    pool.ok_or(Violation::new("not-a-dma-pool", handle))
}

/// `dma_pool_create_node(name, dev, size, align, boundary, node)`. Blocks begin at pages, so any
/// alignment up to a page holds, and any boundary that a block of its size can keep.
pub(crate) fn create(call: &mut Call<'_>) -> Outcome {
    let (size, align, boundary) = (call.arg(2), call.arg(3), call.arg(4));
    let device = dma::device(call, 1)?;
    if size == 0 || size > BLOCK_MAX || align > PAGE || !(align == 0 || align.is_power_of_two()) {
        return Ok(0);
    }
    if boundary != 0 && (boundary < size || !boundary.is_power_of_two() || size > PAGE) {
        return Ok(0);
    }
    let pools = &call.domain.pool.pools;
    if pools.len() >= POOLS_MAX {
        return Ok(0);
    }
    let Ok(token) = call.domain.memory.alloc(32) else {
        return Ok(0);
    };
    let pool = Arc::new(
        Pool {
            device,
            size,
            live: AtomicU64::new(0),
        },
        GFP_KERNEL,
    );
    match pool
        .map_err(Error::from)
        .and_then(|pool| pools.insert(token, pool))
    {
        Ok(()) => Ok(token),
        Err(_) => {
            let _ = call.domain.memory.free(token);
            Ok(0)
        }
    }
}

/// `dma_pool_destroy(pool)`: a pool with live blocks stays, as in the kernel, and so do they.
pub(crate) fn destroy(call: &mut Call<'_>) -> Outcome {
    if call.arg(0) == 0 {
        return Ok(0);
    }
    let pool = find(call)?;
    if pool.live.load(Ordering::Relaxed) != 0 {
        return Err(Violation::new("dma-pool-in-use", call.arg(0)));
    }
    if call.domain.pool.pools.remove(call.arg(0)).is_some() {
        let _ = call.domain.memory.free(call.arg(0));
    }
    Ok(0)
}

/// `dma_pool_alloc(pool, flags, handle)`
pub(crate) fn alloc(call: &mut Call<'_>) -> Outcome {
    let pool = find(call)?;
    let block = dma::allocate(call, pool.device.clone(), pool.size, call.arg(2))?;
    if block != 0 {
        pool.live.fetch_add(1, Ordering::Relaxed);
    }
    Ok(block)
}

/// `dma_pool_free(pool, address, bus)`
pub(crate) fn free(call: &mut Call<'_>) -> Outcome {
    let pool = find(call)?;
    dma::give_back(call, &pool.device, pool.size, call.arg(1), call.arg(2))?;
    pool.live.fetch_sub(1, Ordering::Relaxed);
    Ok(0)
}
