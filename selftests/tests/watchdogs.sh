#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What no single call shows: a transmit queue that stands still, and locks of the kernel that a driver
# holds too long, dies with, or does not give back. The driver is ended by the rule, the others who
# want the lock get it, and the driver works again.
# timeout: 800
# again: a host that stalls can outlast the time limits of watchdogs
# vm: --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap
CLUMSY=/side/build/payload/side_clumsy.ko
STALL=/side/build/payload/side_stall.ko

check "side loads without a driver" insmod "$MODULE"

# A change that needs RTNL. One that waits for it longer than any bound here is one that waits for ever.
rtnl_is_free() { timeout 20 ip link set lo mtu 65536; }

# ends RULE SECONDS DRIVER: the driver's domain has ended by that rule in that time.
ends() {
	local n rule
	for n in $(seq $(($2 * 10))); do
		rule=$(rule_of "$3")
		[ -z "$rule" ] || break
		sleep 0.1
	done
	echo "ended by ${rule:-nothing}"
	[ "$rule" = "$1" ]
}

# clumsy MISTAKE RULE SECONDS [BOUND]: the mistake ends the driver by that rule, and RTNL can be had.
clumsy() {
	local status=0
	dmesg -C
	echo "$CLUMSY mistake=$1" >$SIDE/load || return 1
	[ -z "${4:-}" ] || echo "$4" >$SIDE/side_clumsy/watchdogs || return 1
	ends "$2" "$3" side_clumsy && rtnl_is_free || status=1
	echo side_clumsy >$SIDE/unload && rtnl_is_free || status=1
	dmesg | tail -n 20
	return $status
}
check "RTNL held too long" clumsy 21 lock-held-too-long 30 "lock_ms 500"
check "death with RTNL held" clumsy 22 null-pointer 10
check "death with a mutex held" clumsy 23 null-pointer 10
check "death with a spin lock held and interrupts off" clumsy 24 null-pointer 10
check "RTNL not given back by a work function" clumsy 25 left-locked 10

# The interface of the payload that stalls, with packets for it.
NIC=""
stall_up() {
	dmesg -C
	echo "$STALL repair=$1" >$SIDE/load || return 1
	NIC=$(interface_of "$(pci_of 0x8086:0x10d3)") || return 1
	echo "failures 9 delay 0" >$SIDE/side_stall/policy
	ip link set "$NIC" up && ip addr add 10.9.0.1/24 dev "$NIC" &&
		ip neigh replace 10.9.0.2 lladdr 02:00:00:00:00:02 dev "$NIC"
}
feed() { ping -q -c 20 -i 0.1 -W 1 10.9.0.2 >/dev/null 2>&1; }
stalled() { dmesg | grep -c 'side_stall.*: stalled'; }
stall_down() {
	echo side_stall >$SIDE/unload
	dmesg | tail -n 30
}
# stalls REPAIR: asked three times, and then ended and started afresh.
stalls() {
	local n status=1
	stall_up "$1" || return 1
	for n in $(seq 40); do
		feed
		[ "$(cat $SIDE/side_stall/recoveries)" -gt 0 ] && break
	done
	echo "asked $(stalled) times, $(cat $SIDE/side_stall/recoveries) recoveries"
	ends transmit-stall 1 side_stall && [ "$(stalled)" -ge 3 ] &&
		[ "$(cat $SIDE/side_stall/recoveries)" -gt 0 ] && [ -e "/sys/class/net/$NIC" ] && status=0
	stall_down
	return $status
}
check "a queue that stands still, and a driver that does nothing about it" stalls 0
check "a queue that stands still again after each repair" stalls 1
check "a queue that does, with packets that count as sent in each repair" stalls 5
repairs() {
	local n status=1
	stall_up 2 || return 1
	for n in $(seq 20); do
		feed
		[ "$(stalled)" -gt 0 ] && break
	done
	feed
	[ "$(stalled)" = 1 ] && [ "$(cat $SIDE/side_stall/recoveries)" = 0 ] &&
		grep -qx running $SIDE/side_stall/state && status=0
	stall_down
	return $status
}
check "a queue that the driver repairs, as the stack asks it" repairs
# once_only REPAIR BOUNDS RULE: what may be the network's doing. The driver is started afresh once, by that rule, and not
# again while the next one does the same.
once_only() {
	local n status=1
	stall_up "$1" && echo "$2" >$SIDE/side_stall/watchdogs || return 1
	for n in $(seq 10); do
		feed
		[ "$(cat $SIDE/side_stall/recoveries)" -gt 0 ] && break
	done
	ends "$3" 1 side_stall || { stall_down; return 1; }
	for n in $(seq 4); do feed; done
	echo "$(cat $SIDE/side_stall/recoveries) recoveries"
	[ "$(cat $SIDE/side_stall/recoveries)" = 1 ] && grep -qx running $SIDE/side_stall/state && status=0
	stall_down
	return $status
}
check "an interface that sends and hears nothing" once_only 3 "silence_ms 3000" receive-stall
# Its queue is never stopped, so only what it keeps shows it.
check "a driver that keeps what it is given to send" once_only 4 "sent_ms 3000 silence_ms 0" transmit-stall
no_complaint() { ! dmesg | grep -E 'BUG|WARNING|Oops|lockup|rcu.*stall|hung_task'; }
check "no complaint of the kernel" no_complaint
check "rmmod" side_unload
finish
