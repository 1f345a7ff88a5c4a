/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inline functions of the driver core, PCI, DMA and tasklets as real functions.
 * Nothing is decided here.
 */
#ifndef SIDE_DEVICE_H
#define SIDE_DEVICE_H

#include <linux/interrupt.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>

struct page *side_phys_to_page(phys_addr_t phys);
phys_addr_t side_coherent_to_phys(const void *address);
void side_pm_put_noidle(struct device *dev);
void side_pm_get_noresume(struct device *dev);
void side_tasklet_hi_schedule(struct tasklet_struct *tasklet);
bool side_pci_intx_maskable(struct pci_dev *pdev);
void side_pci_quiet_line(struct pci_dev *pdev);
const char *side_pci_name(struct pci_dev *pdev);
void side_device_lock(struct device *dev);
void side_device_unlock(struct device *dev);
void side_cpu_relax(void);
struct module *side_this_module(void);
bool side_dma_needs_sync(struct device *dev);
void *side_dma_alloc(struct device *dev, size_t bytes, dma_addr_t *dma, bool may_sleep);

#endif
