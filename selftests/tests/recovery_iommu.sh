#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The packaged e1000e dies again and again while its card receives and transmits behind an IOMMU: the
# card reaches nothing of a dead driver's memory, also not when somebody turns its bus mastering on, and the
# next driver works.
# timeout: 800
# vm: --iommu intel --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
# DEATHS=N (default 6)
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../iommu.sh"
ktap
iommu_begin
dying_under_dma intel "${DEATHS:-6}"
iommu_end
finish
