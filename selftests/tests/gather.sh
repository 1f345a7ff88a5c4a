#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Transmit gathering: packets are handed over several at once, keep their order, and wait for nothing
# when they come alone; a driver that forges what the loop in ring 3 keeps gains nothing.
# timeout: 800
# again: a host that stalls can lose datagrams and delay answers
# vm: --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap
PAYLOAD=/side/build/payload/side_gather.ko
GATHERER=$SIDE/side_gather
DRIVER=$SIDE/e1000e
TRACING=/sys/kernel/tracing
UDP="python3 -B /side/selftests/udp.py"

check "side loads without a driver" insmod "$MODULE"

# payload MODE NUMBER: loads it and brings its interface up; its peer is a neighbour by declaration.
payload() {
	dmesg -C
	echo "$PAYLOAD forge=$2" >$SIDE/load && echo "$1" >$GATHERER/mode || return 1
	# Nothing but the datagrams is to be sent.
	sysctl -qw net.ipv6.conf.gather0.disable_ipv6=1
	ip link set gather0 up && ip addr add 10.77.0.1/24 dev gather0 &&
		ip neigh replace 10.77.0.2 lladdr 02:00:00:00:00:08 dev gather0 nud permanent
}
counter() { cat "/sys/class/net/gather0/statistics/$1"; }

# honest MODE NUMBER: each of 2 times 60 datagrams once and in order.
honest() {
	local n status=1
	payload "$1" "$2" || return 1
	$UDP burst 10.77.0.2 60 200
	$UDP burst 10.77.0.2 60 200
	for n in $(seq 200); do
		[ "$(counter tx_packets)" -ge 120 ] && break
		sleep 0.1
	done
	# The second time begins with number 0, where another one was expected.
	echo "$(counter tx_packets) packets, $(counter tx_errors) out of turn"
	[ "$(counter tx_packets)" = 120 ] && [ "$(counter tx_errors)" = 1 ] && status=0
	grep -qx none $GATHERER/last_fault || { cat $GATHERER/last_fault; status=1; }
	cat $GATHERER/crossings
	echo side_gather >$SIDE/unload
	return $status
}
# forged MODE NUMBER RULE: what the payload forges ends its domain by that rule, or, with `none`, not.
forged() {
	payload "$1" "$2" || return 1
	$UDP burst 10.77.0.2 8 200
	ends_by side_gather "$3"
}
for mode in base optimised; do
	check "$mode: 120 datagrams, each once and in order" honest $mode 0
	check "$mode: and when the driver stops the queue after each third" honest $mode 1
	check "$mode: and when it is busy each second time" honest $mode 2
done
while read -r n base optimised what; do
	check "base: $what" forged base "$n" "$base"
	check "optimised: $what" forged optimised "$n" "$optimised"
done <<END
3 none gathered-too-many a count of more packets than were given
4 none gathered-too-many packets linked in a circle
5 none skb-freed-twice a packet freed before it was given
6 none kernel-address an address of the kernel as the next packet
7 none skb-freed-twice packets freed and said to be left
END
no_complaint() { ! dmesg | grep -E 'BUG|WARNING|Oops|lockup|stall'; }
check "no complaint of the kernel" no_complaint
check "rmmod" side_unload

check "side loads with the packaged e1000e" side_load
peer_up
check "the interface comes up with carrier" test_interface_up
NIC=$(interface_of "$(pci_of 0x8086:0x10d3)")
check "the peer answers" ping_all -c 3 -i 0.1 10.9.0.2
upcalls() { awk '$1 == "upcall" && $2 == "ndo_start_xmit" { print $3 }' $DRIVER/crossings; }
# burst COUNT LEAST MOST: so many datagrams in one call arrive in order, by that number of upcalls.
burst() {
	local before after
	in_peer $UDP receive 10.9.0.2 "$1" &
	local receiver=$!
	listening u 5202 in_peer
	before=$(upcalls)
	$UDP burst 10.9.0.2 "$1" 200
	wait $receiver || return 1
	after=$(upcalls)
	echo "$((after - before)) upcalls"
	[ $((after - before)) -ge "$2" ] && [ $((after - before)) -le "$3" ]
}
check "the optimised mode is switched on" bash -c "echo optimised >$DRIVER/mode && grep -qx optimised $DRIVER/mode"
check "60 datagrams at once: in order, by at most 12 upcalls" burst 60 2 12
check "gathering is switched off" bash -c "echo 0 >$DRIVER/optimisations/transmit_gathering"
check "60 datagrams at once: in order, one by one" burst 60 60 90
check "gathering alone" bash -c "echo base >$DRIVER/mode && echo 1 >$DRIVER/optimisations/transmit_gathering"
check "60 datagrams at once: in order, by at most 12 upcalls" burst 60 2 12
echo optimised >$DRIVER/mode

# The timer bounds the wait of packets that wait: who never waits needs none.
[ -d $TRACING/events ] || mount -t tracefs tracefs $TRACING
alone() {
	local n before after
	echo >$TRACING/trace
	echo 1 >$TRACING/events/timer/hrtimer_start/enable
	before=$(upcalls)
	for n in $(seq 20); do
		ping -q -c 1 -W 10 10.9.0.2 >/dev/null || return 1
	done
	after=$(upcalls)
	echo 0 >$TRACING/events/timer/hrtimer_start/enable
	grep side_proxy_flush $TRACING/trace && return 1
	grep -q hrtimer_start: $TRACING/trace || { echo "nothing was traced"; return 1; }
	[ $((after - before)) -ge 20 ]
}
check "20 lone packets go at once, without the timer" alone

nothing_in_flight() {
	local n
	for n in $(seq 100); do
		[ "$(cat "/sys/class/net/$NIC/queues/tx-0/byte_queue_limits/inflight")" = 0 ] && return 0
		sleep 0.1
	done
	return 1
}
check "TCP to the peer, 4 MB, same checksum" send_file 4000000 there
check "the queue limits count nothing as in flight afterwards" nothing_in_flight
limited() {
	local limit=/sys/class/net/$NIC/queues/tx-0/byte_queue_limits/limit_max before
	before=$(cat "$limit")
	echo 3000 >"$limit" && send_file 1000000 there && burst 60 1 90
	local status=$?
	echo "$before" >"$limit"
	return $status
}
check "with a limit of two packets in flight: the same" limited

switched() {
	local n
	(
		while :; do
			echo optimised; sleep 0.002; echo base; sleep 0.002
		done
	) | while read -r word; do echo "$word" >$DRIVER/mode; done &
	local switcher=$! status=0
	for n in 1 2 3 4; do
		burst 60 1 90 || { status=1; break; }
	done
	kill $switcher
	wait $switcher 2>/dev/null
	return $status
}
check "4 times 60 datagrams while the mode switches: all in order" switched
echo optimised >$DRIVER/mode
down() {
	local n
	for n in 1 2 3; do
		$UDP burst 10.9.0.2 60 200
		ip link set "$NIC" down && ip link set "$NIC" up && wait_carrier "$NIC" || return 1
	done
	ip addr replace 10.9.0.1/24 dev "$NIC" && ping_all -c 3 -i 0.1 10.9.0.2 && nothing_in_flight
}
check "the interface goes down right after a burst, and up again" down
check "no fault happened" grep -qx none $DRIVER/last_fault
dies() {
	# The counters of crossings begin anew.
	echo ndo_start_xmit >$DRIVER/inject && burst 60 -1000000 90 && ! grep -qx none $DRIVER/last_fault
}
check "the domain dies with packets that wait: the next driver sends them all, in order" dies
check "the queue limits count nothing as in flight afterwards" nothing_in_flight
check "no complaint of the kernel" no_complaint
check "rmmod" side_unload
finish
