#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Hardware time stamping and the PTP clock: the same answers to the same calls, whether the packaged
# e1000e runs in the kernel or under SIDE; the clock reads, is set, shifted and slowed.
# again: a host that stalls shifts one clock against the other
# vm: --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap

collect() {
	NIC=$(interface_of "$(pci_of 0x8086:0x10d3)") && ip link set "$NIC" up && wait_carrier "$NIC" || return 1
	local clock
	clock=$(basename "/sys/class/net/$NIC/device/ptp/"ptp*)
	{
		ethtool -T "$NIC"
		cat "/sys/class/ptp/$clock/clock_name" "/sys/class/ptp/$clock/max_adjustment"
		python3 -B /side/selftests/clock.py "$NIC" "/dev/$clock"
		echo "status $?"
	} >"$1" 2>&1
	sed 's/^/# /' "$1"
	grep -qx "status 0" "$1"
}

native() { modprobe e1000e && collect /tmp/native; local s=$?; rmmod e1000e; return $s; }
check "the driver in the kernel answers" native
check "side loads with the packaged e1000e" side_load
check "the driver under SIDE answers" collect /tmp/side
check "the same answers" diff -u /tmp/native /tmp/side
check "no fault happened" grep -qx none "$SIDE/e1000e/last_fault"
check "side unloads" side_unload
check "the clock is gone" test ! -e /dev/ptp0
finish
