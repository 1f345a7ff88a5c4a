#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The packaged e1000e dies while the machine goes to sleep and wakes, while its interface goes down, and
# in its remove: the machine sleeps and wakes all the same, the interface goes down, and afterwards
# the interface or the device is as usable as ever.
# timeout: 800
# again: a host that stalls can outlast the time limits of recovery
# vm: --smp 2 --root image --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap
D=$SIDE/e1000e
ADDRESS=$(pci_of 0x8086:0x10d3)

check "side loads with the packaged e1000e" side_load
peer_up
check "the interface comes up" test_interface_up
NIC=$(interface_of "$ADDRESS")
echo "failures 0 delay 0" >$D/policy
echo 1 >/sys/module/suspend/parameters/pm_test_delay

usable() { wait_carrier "$NIC" 20 && ping_all -c 5 -i 0.02 10.9.0.2 && send_file 100000 there; }

# The kernel turns round before it sleeps, at the given point.
turn_round() {
	local status
	echo "$1" >/sys/power/pm_test && echo "$2" >/sys/power/state
	status=$?
	echo none >/sys/power/pm_test
	echo "the kernel's answer: $status"
	return $status
}
# dies_asleep PLACE POINT STATE
dies_asleep() {
	local before
	before=$(cat $D/recoveries)
	echo "$1" >$D/inject && turn_round "$2" "$3" || return 1
	cat $D/last_fault
	recovered $((before + 1)) && grep -q "^injected" $D/last_fault && usable
}
for place in pm.suspend pm.resume; do
	check "death in $place, to memory" dies_asleep $place core mem
	check "death in $place, to idle" dies_asleep $place devices freeze
done
check "death in pm.freeze of a hibernation" dies_asleep pm.freeze core disk
# A transition that turns round before the image is made ends as if it had been restored, and never thaws.
check "death in pm.restore" dies_asleep pm.restore core disk
# The image is made, and there is no swap device to write it to.
thaw_dies() {
	local before
	before=$(cat $D/recoveries)
	echo pm.thaw >$D/inject
	! echo disk >/sys/power/state && dmesg | grep -q "Cannot find swap device" || return 1
	cat $D/last_fault
	recovered $((before + 1)) && grep -q "^injected upcall=pm.thaw" $D/last_fault && usable
}
check "death in pm.thaw, after the image of a hibernation" thaw_dies
# Deep inside the driver's own suspend.
check "death in free_irq, called by suspend" dies_asleep free_irq core mem
check "and without a death" turn_round core mem
check "the interface is usable then" usable

stop_dies() {
	local before status=0
	before=$(cat $D/recoveries)
	echo ndo_stop >$D/inject
	timeout 60 ip link set "$NIC" down || return 1
	for _ in $(seq 300); do
		[ "$(cat $D/recoveries)" -gt "$before" ] && grep -qx running $D/state && break
		sleep 0.1
	done
	[ "$(cat $D/recoveries)" -gt "$before" ] || return 1
	ip -o link show dev "$NIC" | grep -q 'state DOWN' || { ip link show dev "$NIC"; status=1; }
	ip link set "$NIC" up && ip addr replace 10.9.0.1/24 dev "$NIC" && usable && return $status
}
check "death in ndo_stop: the interface is down, and comes up again" stop_dies

# The device is taken from a driver that dies meanwhile; then the one that is loaded afresh gets it.
remove_dies() {
	local before
	before=$(cat $D/recoveries)
	echo remove >$D/inject
	timeout 60 sh -c "echo $ADDRESS >/sys/bus/pci/drivers/side-e1000e/unbind" || return 1
	for _ in $(seq 300); do
		[ "$(cat $D/recoveries)" -gt "$before" ] && grep -qx running $D/state && break
		sleep 0.1
	done
	cat $D/state $D/recoveries
	[ "$(cat $D/recoveries)" -gt "$before" ] && [ ! -e "/sys/class/net/$NIC" ] || return 1
	echo "$ADDRESS" >/sys/bus/pci/drivers/side-e1000e/bind && test_interface_up && NIC=$(interface_of "$ADDRESS") && usable
}
check "death in remove: the device can be bound again" remove_dies
unload_dies() {
	echo remove >$D/inject
	timeout 60 sh -c "echo e1000e >$SIDE/unload" && [ ! -d $D ]
}
check "death in remove, at the unload" unload_dies
no_complaint() { ! dmesg | grep -v ommand.line | grep -E 'BUG|WARNING|Oops|lockup|rcu.*stall|blocked for more'; }
check "no complaint of the kernel" no_complaint
check "rmmod" side_unload
check "the driver in the kernel can have the device" modprobe e1000e
check "and its interface is there" interface_of "$ADDRESS"
finish
