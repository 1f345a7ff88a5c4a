#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Interrupts by line, by message and by MSI-X, chosen by the driver's own parameter; and the names
# and counts in /proc/interrupts.
# vm: --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap
check "the peer is up" peer_up

# kind PATTERN: an interrupt of that kind is the driver's, and came.
kind() {
	grep -E "$1" /proc/interrupts | tee /dev/stderr |
		awk '{ n += $2 + $3 } END { exit !(n > 50) }'
}

# The emulated card fails the driver's own test of single messages, natively too: mode 1 ends at
# the line.
CARD=$(pci_of 0x8086:0x10d3)
for mode in 0 1 2; do
	check "IntMode=$mode: side loads" side_load params="IntMode=$mode"
	# A name that the peer's interrupt does not have.
	NIC=side0
	check "IntMode=$mode: renamed" ip link set "$(interface_of "$CARD")" name $NIC
	check "IntMode=$mode: the interface comes up" test_interface_up
	check "IntMode=$mode: 100 pings, none lost" ping_all -c 100 -i 0.01 10.9.0.2
	if [ $mode = 2 ]; then
		check "IntMode=2: by MSI-X" kind "PCI-MSIX.*$NIC-rx-0$"
	else
		check "IntMode=$mode: by the line" kind "IO-APIC.*$NIC$"
	fi
	check "IntMode=$mode: rmmod" side_unload
	check "IntMode=$mode: no interrupt is left" sh -c "! grep -w '$NIC' /proc/interrupts"
done
finish
