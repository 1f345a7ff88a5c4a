#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A device behind the IOMMU reaches the buffers of its domain and nothing else.
# timeout: 800
# vm: --iommu amd --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../iommu.sh"
ktap
iommu_begin
dying_under_dma amd 3
contained amd
iommu_end
finish
