#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Devices as users have them: the device filter, a device that another driver holds, take-over and
# giving back, unbinding by sysfs, hot-plug and unplug.
# vm: --smp 2 --nic e1000e
. "$(dirname "$0")/../lib.sh"
ktap
PCI=$(pci_of 0x8086:0x10d3)
BUS=/sys/bus/pci

# bound_to DRIVER: what holds the card ("" for nothing).
bound_to() {
	local path=$BUS/devices/$PCI/driver now=""
	[ -e "$path" ] && now=$(basename "$(readlink "$path")")
	echo "bound to '$now'"
	[ "$now" = "$1" ]
}

logged() {
	dmesg | grep -qF "$1"
}

check "side loads for another device" side_load device=0000:00:1e.7
check "the card is left alone" bound_to ""
check "rmmod" side_unload
check "side loads for this device" side_load device="$PCI"
check "the card is SIDE's" bound_to side-e1000e
check "rmmod" side_unload

check "the driver is loaded into the kernel" modprobe e1000e
check "side loads beside it" side_load
check "the card stays with its driver" bound_to e1000e
check "the log says so" logged "$PCI belongs to driver e1000e: left alone"
check "rmmod" side_unload
check "side loads with takeover=1" side_load takeover=1
check "the card is SIDE's" bound_to side-e1000e
check "the interface is there" interface_of "$PCI"
check "rmmod" side_unload
check "the card is its driver's again" bound_to e1000e
check "its interface is back" interface_of "$PCI"
rmmod e1000e

check "side loads" side_load
check "unbind by sysfs" sh -c "echo $PCI >$BUS/drivers/side-e1000e/unbind"
check "the card is nobody's" bound_to ""
check "bind by sysfs" sh -c "echo $PCI >$BUS/drivers/side-e1000e/bind"
check "the interface is back" interface_of "$PCI"

# by_mac MAC: the interface with that address, once it is there.
by_mac() {
	local n path
	for n in $(seq 100); do
		for path in /sys/class/net/*; do
			if [ "$(cat "$path/address" 2>/dev/null)" = "$1" ]; then
				basename "$path"
				return 0
			fi
		done
		sleep 0.1
	done
	return 1
}

gone() {
	local n
	for n in $(seq 200); do
		[ -e "/sys/class/net/$PLUGGED" ] || return 0
		sleep 0.1
	done
	return 1
}

for round in 1 2; do
	mac=52:54:00:99:00:0$round
	check "a card is plugged in" vm-monitor device_add e1000e,bus=rp0,id=hot,addr=0,mac=$mac
	check "its interface appears" by_mac $mac
	PLUGGED=$(by_mac $mac)
	check "it goes up" ip link set "$PLUGGED" up
	check "the card is pulled" vm-monitor device_del hot
	check "its interface goes" gone
	check "the driver goes on" grep -qx running $SIDE/e1000e/state
	sleep 1
done
check "the other card is still SIDE's" bound_to side-e1000e
check "rmmod" side_unload
finish
