// SPDX-License-Identifier: GPL-2.0

//! Firmware files: found and read by the kernel, copied into the domain.

use super::dma;
use crate::call::{errno, int, Call, Outcome, Violation};
use crate::sys::firmware;
use kernel::prelude::*;

/// The largest firmware file.
const LARGEST: usize = 32 << 20;
/// `struct firmware`: size, data, and a word that is the loader's own.
const STRUCTURE: u64 = 24;

/// `request_firmware(fw, name, dev)`: writes a `struct firmware *` to `fw`, NULL after an error.
pub(crate) fn request(call: &mut Call<'_>) -> Outcome {
    let device = dma::device(call, 2)?;
    let mut room = [0; 128];
    let name = call.read_str(call.arg(1), &mut room)?;
    call.write(call.arg(0), 0u64)?;
    let found = match firmware::request(&device.raw, name) {
        Ok(found) => found,
        Err(error) => return Ok(errno(error)),
    };
    let bytes = found.bytes();
    if bytes.len() > LARGEST {
        return Ok(errno(EFBIG));
    }
    let memory = &call.domain.memory;
    let Ok(structure) = memory.alloc(STRUCTURE) else {
        return Ok(errno(ENOMEM));
    };
    let Ok(data) = memory.alloc_virtual(core::cmp::max(bytes.len(), 1) as u64) else {
        let _ = memory.free(structure);
        return Ok(errno(ENOMEM));
    };
    call.write_bytes(data, bytes)?;
    call.write(structure, [bytes.len() as u64, data, 0])?;
    call.write(call.arg(0), structure)?;
    Ok(int(0))
}

/// `release_firmware(fw)`
pub(crate) fn release(call: &mut Call<'_>) -> Outcome {
    let structure = call.arg(0);
    if structure == 0 {
        return Ok(0);
    }
    let [_, data, _]: [u64; 3] = call.read(structure)?;
    for address in [data, structure] {
        if call.domain.memory.free(address).is_err() {
            return Err(Violation::new("bad-free", address));
        }
    }
    Ok(0)
}
