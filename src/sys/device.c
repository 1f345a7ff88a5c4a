// SPDX-License-Identifier: GPL-2.0
/* See device.h. */
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/vmalloc.h>
#include "device.h"

struct page *side_phys_to_page(phys_addr_t phys)
{
	return pfn_to_page(PHYS_PFN(phys));
}

phys_addr_t side_coherent_to_phys(const void *address)
{
	if (is_vmalloc_addr(address))
		return page_to_phys(vmalloc_to_page(address)) + offset_in_page(address);
	return virt_to_phys((void *)address);
}

void side_pm_put_noidle(struct device *dev)
{
	pm_runtime_put_noidle(dev);
}

void side_pm_get_noresume(struct device *dev)
{
	pm_runtime_get_noresume(dev);
}

void side_tasklet_hi_schedule(struct tasklet_struct *tasklet)
{
	tasklet_hi_schedule(tasklet);
}

bool side_pci_intx_maskable(struct pci_dev *pdev)
{
	return pci_intx_mask_supported(pdev);
}

void side_pci_quiet_line(struct pci_dev *pdev)
{
	if (!(pdev->dev_flags & PCI_DEV_FLAGS_MSI_INTX_DISABLE_BUG))
		pci_intx(pdev, 0);
}

const char *side_pci_name(struct pci_dev *pdev)
{
	return pci_name(pdev);
}

void side_device_lock(struct device *dev)
{
	device_lock(dev);
}

void side_device_unlock(struct device *dev)
{
	device_unlock(dev);
}

void side_cpu_relax(void)
{
	cpu_relax();
}

struct module *side_this_module(void)
{
	return THIS_MODULE;
}

bool side_dma_needs_sync(struct device *dev)
{
	return dma_dev_need_sync(dev);
}

void *side_dma_alloc(struct device *dev, size_t bytes, dma_addr_t *dma, bool may_sleep)
{
	/* More than the page allocator has in one piece is an error, not a reason to warn. */
	return dma_alloc_attrs(dev, bytes, dma, may_sleep ? GFP_KERNEL : GFP_ATOMIC, DMA_ATTR_NO_WARN);
}
