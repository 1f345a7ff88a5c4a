#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The switcher without FSGSBASE and with four levels of page tables, and its NMIs. The GS base then
# goes through an MSR, which takes more instructions.
# vm: --smp 2 --nic none --gdb --append nofsgsbase --append no5lvl --append apic_extnmi=all
# timeout: 800
export SWITCHER_TESTS="all:3" STEP_MODES="nmi nested" STEP_ROUNDS=2 STEP_MOST=120
! grep -qwE "la57|fsgsbase" /proc/cpuinfo || { echo "this machine has what it should not have"; exit 1; }
. "$(dirname "$0")/switcher_nmi.sh"
