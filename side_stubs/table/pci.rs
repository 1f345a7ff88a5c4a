// SPDX-License-Identifier: GPL-2.0

//! Imports: PCI, DMA, interrupts.

use crate::side_stubs::handlers::pci::{driver, imports as pci, ports};
use crate::side_stubs::handlers::{dma, irq, pool};
use crate::side_stubs::policy::Arg::*;
use crate::side_stubs::policy::Kind::{Device, Page, PciDevice};
use crate::side_stubs::policy::Where::{Any, Sleep};
use crate::side_stubs::policy::*;

/// A PCI device, and numbers after it.
const PCI: Arg = Obj(PciDevice);
/// A `struct device`.
const DEV: Arg = Obj(Device);

pub(crate) const IMPORTS: &[Import] = &[
    // Drivers and devices.
    gate(
        "__pci_register_driver",
        &[Addr, Word, StrOrNull],
        Sleep,
        driver::register,
    ),
    gate("pci_unregister_driver", &[Addr], Sleep, driver::unregister),
    gate("pci_enable_device", &[PCI], Sleep, pci::enable_device),
    gate(
        "pci_enable_device_mem",
        &[PCI],
        Sleep,
        pci::enable_device_mem,
    ),
    gate("pcim_enable_device", &[PCI], Sleep, pci::enable_device),
    gate("pci_disable_device", &[PCI], Sleep, pci::disable_device),
    gate("pci_set_master", &[PCI], Sleep, pci::set_master),
    gate("pci_clear_master", &[PCI], Sleep, pci::clear_master),
    gate("pci_device_is_present", &[PCI], Sleep, pci::is_present),
    gate("dev_driver_string", &[DEV], Any, pci::driver_string),
    // Configuration.
    gate(
        "pci_read_config_byte",
        &[PCI, Word, Addr],
        Any,
        pci::read_config_byte,
    ),
    gate(
        "pci_read_config_word",
        &[PCI, Word, Addr],
        Any,
        pci::read_config_word,
    ),
    gate(
        "pci_read_config_dword",
        &[PCI, Word, Addr],
        Any,
        pci::read_config_dword,
    ),
    gate(
        "pci_write_config_byte",
        &[PCI, Word, Word],
        Any,
        pci::write_config_byte,
    ),
    gate(
        "pci_write_config_word",
        &[PCI, Word, Word],
        Any,
        pci::write_config_word,
    ),
    gate(
        "pci_write_config_dword",
        &[PCI, Word, Word],
        Any,
        pci::write_config_dword,
    ),
    gate(
        "pcie_capability_read_word",
        &[PCI, Word, Addr],
        Any,
        pci::express_read_word,
    ),
    gate(
        "pcie_capability_read_dword",
        &[PCI, Word, Addr],
        Any,
        pci::express_read_dword,
    ),
    gate(
        "pcie_capability_write_word",
        &[PCI, Word, Word],
        Any,
        pci::express_write_word,
    ),
    gate(
        "pcie_capability_clear_and_set_word_locked",
        &[PCI, Word, Word, Word],
        Any,
        pci::express_change_locked,
    ),
    gate(
        "pcie_capability_clear_and_set_word_unlocked",
        &[PCI, Word, Word, Word],
        Any,
        pci::express_change_unlocked,
    ),
    gate(
        "pci_find_capability",
        &[PCI, Word],
        Sleep,
        pci::find_capability,
    ),
    gate(
        "pci_find_ext_capability",
        &[PCI, Word],
        Sleep,
        pci::find_ext_capability,
    ),
    gate(
        "pci_disable_link_state",
        &[PCI, Word],
        Sleep,
        pci::disable_link_state,
    ),
    gate(
        "pci_disable_link_state_locked",
        &[PCI, Word],
        Sleep,
        pci::disable_link_state_locked,
    ),
    gate("pcie_get_readrq", &[PCI], Sleep, pci::get_read_request),
    gate(
        "pcie_set_readrq",
        &[PCI, Word],
        Sleep,
        pci::set_read_request,
    ),
    gate(
        "pcie_print_link_status",
        &[PCI],
        Sleep,
        pci::print_link_status,
    ),
    gate("pci_set_mwi", &[PCI], Sleep, pci::set_mwi),
    gate("pcim_set_mwi", &[PCI], Sleep, pci::set_mwi),
    gate("pci_try_set_mwi", &[PCI], Sleep, pci::try_set_mwi),
    gate("pci_clear_mwi", &[PCI], Sleep, pci::clear_mwi),
    // Regions and registers.
    gate("pci_select_bars", &[PCI, Word], Sleep, pci::select_bars),
    gate(
        "pci_request_selected_regions",
        &[PCI, Word, StrOrNull],
        Sleep,
        pci::request_selected_regions,
    ),
    gate(
        "pci_request_selected_regions_exclusive",
        &[PCI, Word, StrOrNull],
        Sleep,
        pci::request_selected_regions_exclusive,
    ),
    gate(
        "pci_request_regions",
        &[PCI, StrOrNull],
        Sleep,
        pci::request_regions,
    ),
    gate(
        "pcim_request_all_regions",
        &[PCI, StrOrNull],
        Sleep,
        pci::request_regions,
    ),
    gate(
        "pci_release_selected_regions",
        &[PCI, Word],
        Sleep,
        pci::release_selected_regions,
    ),
    gate("pci_release_regions", &[PCI], Sleep, pci::release_regions),
    gate("ioremap", &[Word, Word], Sleep, pci::ioremap),
    gate("iounmap", &[Word], Sleep, pci::iounmap),
    gate("pci_ioremap_bar", &[PCI, Word], Sleep, pci::ioremap_bar),
    gate("pci_iomap", &[PCI, Word, Word], Sleep, pci::iomap),
    gate("pcim_iomap", &[PCI, Word, Word], Sleep, pci::iomap),
    gate("pci_iounmap", &[PCI, Word], Sleep, pci::pci_iounmap),
    gate("pcim_iounmap", &[PCI, Word], Sleep, pci::pci_iounmap),
    gate("pci_choose_state", &[PCI, Word], Sleep, pci::choose_state),
    gate("pci_msi_enabled", &[], Any, pci::msi_enabled),
    gate(
        "__request_region",
        &[Word, Word, Word, StrOrNull, Word],
        Sleep,
        ports::request_region,
    ),
    gate(
        "__release_region",
        &[Word, Word, Word],
        Sleep,
        ports::release_region,
    ),
    gate("ioport_map", &[Word, Word], Sleep, ports::ioport_map),
    gate("ioport_unmap", &[Word], Sleep, ports::ioport_unmap),
    data("ioport_resource", 64, Init::Token),
    data("iomem_resource", 64, Init::Token),
    gate("pcix_get_mmrbc", &[PCI], Sleep, pci::get_mmrbc),
    gate("pcix_set_mmrbc", &[PCI, Word], Sleep, pci::set_mmrbc),
    gate("pci_pme_active", &[PCI, Word], Sleep, pci::pme_active),
    gate("pci_dev_present", &[Addr], Sleep, driver::present),
    local("pci_num_vf"),
    local("pci_vfs_assigned"),
    local("pci_enable_sriov"),
    local("pci_disable_sriov"),
    local("pci_sriov_set_totalvfs"),
    // Interrupt vectors.
    gate("pci_enable_msi", &[PCI], Sleep, pci::enable_msi),
    gate("pci_disable_msi", &[PCI], Sleep, pci::disable_vectors),
    gate(
        "pci_enable_msix_range",
        &[PCI, Addr, Word, Word],
        Sleep,
        pci::enable_msix_range,
    ),
    gate("pci_disable_msix", &[PCI], Sleep, pci::disable_vectors),
    gate(
        "pci_alloc_irq_vectors",
        &[PCI, Word, Word, Word],
        Sleep,
        pci::alloc_irq_vectors,
    ),
    gate("pci_free_irq_vectors", &[PCI], Sleep, pci::disable_vectors),
    gate("pci_irq_vector", &[PCI, Word], Sleep, pci::irq_vector),
    // Power.
    gate("pci_save_state", &[PCI], Sleep, pci::save_state),
    gate("pci_restore_state", &[PCI], Sleep, pci::restore_state),
    gate(
        "pci_set_power_state",
        &[PCI, Word],
        Sleep,
        pci::set_power_state,
    ),
    gate(
        "pci_enable_wake",
        &[PCI, Word, Word],
        Sleep,
        pci::enable_wake,
    ),
    gate("pci_wake_from_d3", &[PCI, Word], Sleep, pci::wake_from_d3),
    gate("pci_pme_capable", &[PCI, Word], Sleep, pci::pme_capable),
    gate("pci_prepare_to_sleep", &[PCI], Sleep, pci::prepare_to_sleep),
    gate("pci_back_from_sleep", &[PCI], Sleep, pci::back_from_sleep),
    gate("pci_dev_run_wake", &[PCI], Sleep, pci::run_wake),
    gate(
        "device_set_wakeup_enable",
        &[DEV, Word],
        Sleep,
        pci::set_wakeup_enable,
    ),
    gate(
        "device_set_wakeup_capable",
        &[DEV, Word],
        Sleep,
        pci::set_wakeup_capable,
    ),
    gate("device_wakeup_enable", &[DEV], Sleep, pci::wakeup_enable),
    // DMA.
    gate(
        "dmam_alloc_attrs",
        &[DEV, Word, Addr, Word, Word],
        Any,
        dma::alloc,
    ),
    gate(
        "dma_pool_create_node",
        &[Str, DEV, Word, Word, Word, Word],
        Sleep,
        pool::create,
    ),
    gate("dma_pool_destroy", &[Word], Sleep, pool::destroy),
    gate("dma_pool_alloc", &[Word, Word, Addr], Any, pool::alloc),
    gate("dma_pool_free", &[Word, Addr, Word], Any, pool::free),
    gate("dma_set_mask", &[DEV, Word], Sleep, dma::set_mask),
    gate(
        "dma_set_coherent_mask",
        &[DEV, Word],
        Sleep,
        dma::set_coherent_mask,
    ),
    gate("dma_get_required_mask", &[DEV], Sleep, dma::required_mask),
    gate(
        "dma_alloc_attrs",
        &[DEV, Word, Addr, Word, Word],
        Any,
        dma::alloc,
    ),
    gate(
        "dma_free_attrs",
        &[DEV, Word, AddrOrNull, Word, Word],
        Any,
        dma::free,
    ),
    gate(
        "dma_map_page_attrs",
        &[DEV, Obj(Page), Word, Word, Word, Word],
        Any,
        dma::map_page,
    ),
    gate(
        "dma_unmap_page_attrs",
        &[DEV, Word, Word, Word, Word],
        Any,
        dma::unmap_page,
    ),
    gate(
        "__dma_sync_single_for_cpu",
        &[DEV, Word, Word, Word],
        Any,
        dma::sync_for_cpu,
    ),
    gate(
        "__dma_sync_single_for_device",
        &[DEV, Word, Word, Word],
        Any,
        dma::sync_for_device,
    ),
    // Interrupts.
    gate(
        "request_threaded_irq",
        &[Word, FnOrNull, FnOrNull, Word, StrOrNull, Word],
        Sleep,
        irq::request,
    ),
    gate("free_irq", &[Word, Word], Sleep, irq::free),
    gate("enable_irq", &[Word], Any, irq::enable),
    gate("disable_irq", &[Word], Sleep, irq::disable),
    gate("disable_irq_nosync", &[Word], Any, irq::disable_nosync),
    gate("disable_hardirq", &[Word], Any, irq::disable_hard),
    gate("synchronize_irq", &[Word], Sleep, irq::synchronize),
];
