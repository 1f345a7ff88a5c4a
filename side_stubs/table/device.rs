// SPDX-License-Identifier: GPL-2.0

//! Imports: managed resources, firmware, registers by address or port, other subsystems.

use crate::side_stubs::handlers::{firmware, managed, memory};
use crate::side_stubs::policy::Arg::*;
use crate::side_stubs::policy::Kind::Device;
use crate::side_stubs::policy::Where::{Any, Sleep};
use crate::side_stubs::policy::*;

/// Why an import is denied.
const NO_I2C: &str = "there is no I2C adapter in a domain";

pub(crate) const IMPORTS: &[Import] = &[
    // Managed resources.
    gate(
        "devm_kmalloc",
        &[Obj(Device), Word, Word],
        Any,
        managed::kmalloc,
    ),
    gate("devm_kfree", &[Obj(Device), Addr], Any, managed::kfree),
    gate(
        "devm_alloc_etherdev_mqs",
        &[Obj(Device), Word, Word, Word],
        Sleep,
        managed::alloc_etherdev,
    ),
    gate("kmalloc_size_roundup", &[Word], Any, memory::size_roundup),
    gate(
        "vmalloc_array_noprof",
        &[Word, Word],
        Sleep,
        memory::vmalloc_array,
    ),
    // Firmware.
    gate(
        "request_firmware",
        &[Addr, Str, Obj(Device)],
        Sleep,
        firmware::request,
    ),
    gate("release_firmware", &[AddrOrNull], Any, firmware::release),
    // Registers.
    local("ioread8"),
    local("ioread16"),
    local("ioread32"),
    local("iowrite8"),
    local("iowrite16"),
    local("iowrite32"),
    local("ioread8_rep"),
    local("ioread16_rep"),
    local("ioread32_rep"),
    local("iowrite8_rep"),
    local("iowrite16_rep"),
    local("iowrite32_rep"),
    local("memcpy_fromio"),
    local("memcpy_toio"),
    local("memset_io"),
    // Subsystems that a domain does without.
    local("cc_platform_has"),
    local("probe_irq_on"),
    local("probe_irq_off"),
    local("eth_platform_get_mac_address"),
    local("dca_add_requester"),
    local("dca_remove_requester"),
    local("dca_register_notify"),
    local("dca_unregister_notify"),
    local("dca3_get_tag"),
    local("i2c_bit_add_bus"),
    local("devm_hwmon_device_register_with_groups"),
    deny(
        "driver_for_each_device",
        "only asked for when DCA providers come and go",
    ),
    deny("i2c_del_adapter", NO_I2C),
    deny("i2c_new_client_device", NO_I2C),
    deny("i2c_smbus_read_byte_data", NO_I2C),
    deny("i2c_smbus_write_byte_data", NO_I2C),
    // Counters of the processor, which vmxnet3 reads for measurements of its own.
    data("__tracepoint_rdpmc", 256, Init::Zero),
    deny("do_trace_rdpmc", "tracing is off in a domain"),
];
