#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The ring switch by itself: what ring 3 may not do, what a view holds, what is put back, and that
# interrupts get through a spin and through thousands of crossings. Levels of paging as the CPU has.
# vm: --smp 2 --nic none --gdb --append apic_extnmi=all
insmod /side/build/selftest/side_selftest.ko || exit 1
trap 'rmmod side_selftest' EXIT
# shellcheck disable=SC2086 # the arguments are words
/side/build/selftest/switcher ${SWITCHER_TESTS:-all 10}
