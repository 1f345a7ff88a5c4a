/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's IOMMU interface for a device that a domain of SIDE owns. Nothing is decided here.
 */
#ifndef SIDE_IOMMU_H
#define SIDE_IOMMU_H

#include <linux/types.h>

struct device;
struct iommu_domain;

/* Ownership: the device reaches nothing from a claim until an attach. */
int side_iommu_claim(struct device *dev);
void side_iommu_release(struct device *dev);
/* What the group is by default, asked before a claim: true if device addresses are physical ones. */
bool side_iommu_default_is_identity(struct device *dev);
bool side_iommu_isolated_msi(struct device *dev);

/* A page table of SIDE's own. NULL or negative errno on failure. */
struct iommu_domain *side_iommu_alloc(struct device *dev);
void side_iommu_free(struct iommu_domain *domain);
bool side_iommu_has_page(const struct iommu_domain *domain, size_t bytes);
u64 side_iommu_first(const struct iommu_domain *domain);
u64 side_iommu_last(const struct iommu_domain *domain);
int side_iommu_attach(struct iommu_domain *domain, struct device *dev);
void side_iommu_detach(struct iommu_domain *domain, struct device *dev);
int side_iommu_map(struct iommu_domain *domain, u64 iova, phys_addr_t phys, size_t bytes,
		   bool read, bool write);
size_t side_iommu_unmap(struct iommu_domain *domain, u64 iova, size_t bytes);

/* Calls f(context, first, last) for each range of addresses that must not be used. */
void side_iommu_reserved(struct device *dev, void (*f)(void *context, u64 first, u64 last),
			 void *context);

#endif
