#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The switcher on a CPU that needs page-table isolation, with its NMIs; machine checks at every
# third instruction of the assembly (STEP_STRIDE=1: at each), and one in a page of a domain, which
# ends that domain only. Only this maker's CPUs can have one that software survives.
# vm: --smp 2 --nic none --gdb --cpu max,vendor=GenuineIntel,family=6,model=158,stepping=9 --append apic_extnmi=all
# timeout: 800
export SWITCHER_TESTS="all:3 mce" STEP_MODES="mce nmi" STEP_ROUNDS=2 STEP_STRIDE=${STEP_STRIDE:-3}
pti() { grep -q "PTI" /sys/devices/system/cpu/vulnerabilities/meltdown; }
pti || { echo "no page-table isolation on this machine"; exit 1; }
. "$(dirname "$0")/switcher_nmi.sh"
