// SPDX-License-Identifier: GPL-2.0
/* See iommu.h. */
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include "iommu.h"

/* One owner for all domains of SIDE: a new one may take over from one that is in quarantine. */
static char side_iommu_owner;

int side_iommu_claim(struct device *dev)
{
	return iommu_device_claim_dma_owner(dev, &side_iommu_owner);
}

void side_iommu_release(struct device *dev)
{
	/* A device that left its bus took the ownership with it. */
	if (dev->iommu_group)
		iommu_device_release_dma_owner(dev);
}

bool side_iommu_default_is_identity(struct device *dev)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);

	return domain && domain->type == IOMMU_DOMAIN_IDENTITY;
}

bool side_iommu_isolated_msi(struct device *dev)
{
	struct iommu_group *group = iommu_group_get(dev);
	bool isolated = group && iommu_group_has_isolated_msi(group);

	iommu_group_put(group);
	return isolated;
}

struct iommu_domain *side_iommu_alloc(struct device *dev)
{
	struct iommu_domain *domain = iommu_paging_domain_alloc(dev);

	return IS_ERR(domain) ? NULL : domain;
}

void side_iommu_free(struct iommu_domain *domain)
{
	iommu_domain_free(domain);
}

bool side_iommu_has_page(const struct iommu_domain *domain, size_t bytes)
{
	return domain->pgsize_bitmap & bytes;
}

u64 side_iommu_first(const struct iommu_domain *domain)
{
	return domain->geometry.aperture_start;
}

u64 side_iommu_last(const struct iommu_domain *domain)
{
	return domain->geometry.aperture_end;
}

int side_iommu_attach(struct iommu_domain *domain, struct device *dev)
{
	return iommu_attach_device(domain, dev);
}

void side_iommu_detach(struct iommu_domain *domain, struct device *dev)
{
	if (dev->iommu_group)
		iommu_detach_device(domain, dev);
}

int side_iommu_map(struct iommu_domain *domain, u64 iova, phys_addr_t phys, size_t bytes,
		   bool read, bool write)
{
	int prot = IOMMU_CACHE | (read ? IOMMU_READ : 0) | (write ? IOMMU_WRITE : 0);

	return iommu_map(domain, iova, phys, bytes, prot, GFP_ATOMIC);
}

size_t side_iommu_unmap(struct iommu_domain *domain, u64 iova, size_t bytes)
{
	return iommu_unmap(domain, iova, bytes);
}

void side_iommu_reserved(struct device *dev, void (*f)(void *context, u64 first, u64 last),
			 void *context)
{
	struct iommu_resv_region *region;
	LIST_HEAD(regions);

	iommu_get_resv_regions(dev, &regions);
	list_for_each_entry(region, &regions, list)
		f(context, region->start, region->start + region->length - 1);
	iommu_put_resv_regions(dev, &regions);
}
