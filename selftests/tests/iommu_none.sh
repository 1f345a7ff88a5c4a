#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Without an IOMMU the log says that DMA is not contained; and the experiments by which the other
# iommu tests judge do reach the memory that they aim at.
# timeout: 800
# vm: --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../iommu.sh"
ktap
iommu_begin
check "the log says that DMA is not contained" dmesg_has 'no IOMMU: DMA is not contained'
echo e1000e >$SIDE/unload
aimed 0
check "a mapped buffer is reached" says 'the buffer has changed'
aimed 1 "$PAGE_AT"
page_state
check "a write elsewhere is not held up" test "$PAGE_STATE" = changed
aimed 2 "$PAGE_AT"
check "nor is a read" leaked
iommu_end
finish
