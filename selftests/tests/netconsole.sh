#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# netconsole, which transmits with interrupts off: each line of the log reaches the peer, in order, in
# both modes, across a death of the driver, and an interface that goes down loses no more than it would.
# timeout: 800
# vm: --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap
D=$SIDE/e1000e
TARGET=/sys/kernel/config/netconsole/test
LINES=200

# start: a receiver in the peer, one line of log in /tmp/lines for each datagram.
start() {
	rm -f /tmp/lines
	in_peer socat -u UDP4-RECV:6666,rcvbuf=4000000 CREATE:/tmp/lines >/dev/null 2>&1 &
	echo $! >/tmp/receiver
	listening u 6666 in_peer
}

target() {
	modprobe netconsole || return 1
	mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
	mkdir $TARGET || return 1
	echo "$NIC" >$TARGET/dev_name
	echo 10.9.0.1 >$TARGET/local_ip
	echo 10.9.0.2 >$TARGET/remote_ip
	in_peer cat "/sys/class/net/$PEER/address" >$TARGET/remote_mac
	echo 1 >$TARGET/enabled
	grep -qx 1 $TARGET/enabled
}

# say NAME: so many lines into the log, at a level that every console prints.
say() {
	local n
	for n in $(seq $LINES); do echo "<4>$1 $n" >/dev/kmsg; done
}

# came NAME: all of them came, once each and in order. What the log says beside them may come, too.
came() {
	local n
	for n in $(seq 300); do
		[ "$(grep -c "$1 [0-9]*$" /tmp/lines)" -ge $LINES ] && break
		sleep 0.1
	done
	diff <(grep -o "$1 [0-9]*$" /tmp/lines) <(seq -f "$1 %.0f" $LINES) | head -n 20
	[ "${PIPESTATUS[0]}" = 0 ]
}

said_and_came() {
	say "$1" && came "$1"
}

# The driver dies at the third group of packets; what it had not sent and what came since waits for the next one,
# which may send again what the card had sent already.
across_a_death() {
	local before n
	before=$(cat $D/recoveries)
	echo "ndo_start_xmit 3" >$D/inject || return 1
	say outage
	recovered $((before + 1)) || return 1
	for n in $(seq 300); do
		[ "$(grep -o "outage [0-9]*$" /tmp/lines | sort -u | wc -l)" = $LINES ] && return 0
		sleep 0.1
	done
	grep -o "outage [0-9]*$" /tmp/lines | sort -u | wc -l
	return 1
}

goes_down() {
	ip link set "$NIC" down && say nowhere && ip link set "$NIC" up && wait_carrier "$NIC" && ! grep -q nowhere /tmp/lines
}

peer_up
check "load" side_load
NIC=$(interface_of "$(pci_of 0x8086:0x10d3)")
check "interface up" test_interface_up
ping_all -c 3 -i 0.1 10.9.0.2 >/dev/null
check "a receiver" start
check "a target of netconsole" target
[ "$failures" = 0 ] || finish
for mode in base optimised; do
	echo $mode >$D/mode
	check "$mode: every line comes, in order" said_and_came "$mode"
done
check "traffic beside it" ping_all -c 20 -i 0.01 10.9.0.2
check "a death of the driver loses no line" across_a_death
check "the interface goes down and comes up" goes_down
check "every line comes again" said_and_came again
check "the target goes away" sh -c "echo 0 >$TARGET/enabled && rmdir $TARGET && modprobe -r netconsole"
kill "$(cat /tmp/receiver)"
check "the driver runs" grep -qx running $D/state
check "unload" side_unload
finish
