#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Three instances of one driver at once, each in a domain of its own with its own devices, counters and
# limits: traffic between them; a limit starves its own domain only, and the death of one instance in the
# middle of a transfer leaves the others whole.
# timeout: 800
# again: a host that stalls can lose datagrams and delay answers
# vm: --smp 2 --nic e1000e,net=hub --nic e1000e,net=hub --nic e1000e,net=hub
. "$(dirname "$0")/../lib.sh"
ktap
A=$(pci_of 0x8086:0x10d3 1)
B=$(pci_of 0x8086:0x10d3 2)
C=$(pci_of 0x8086:0x10d3 3)

check "side loads without a driver" insmod "$MODULE"
refused() { ! echo "$1" 2>/dev/null >$SIDE/load; }
check "an unknown option is refused" refused "at=a $E1000E"
check "a name that is no file name is refused" refused "as=../x $E1000E"
check "an address that is none is refused" refused "device=eth0 $E1000E"
load() { echo "$*" >$SIDE/load; }
check "first instance" load device="$A" "$E1000E"
check "second instance of the same file" load as=second device="$B" "$E1000E"
check "a third, with a parameter" load as=third device="$C" "$E1000E" InterruptThrottleRate=0
check "a name that is taken is refused" refused "as=second device=$C $E1000E"
for name in e1000e second third; do echo "60000000 60000000" >$SIDE/$name/budget_us; done

# Each in a network namespace of its own, on one hub.
join() {
	local interface
	interface=$(interface_of "$1") || return 1
	ip netns add "$2"
	ip link set "$interface" netns "$2"
	ip netns exec "$2" ip link set "$interface" up
	ip netns exec "$2" ip addr add "10.9.0.$3/24" dev "$interface"
}
check "first interface" join "$A" a 1
check "second interface" join "$B" b 2
check "third interface" join "$C" c 3
carrier() { ip netns exec "$1" sh -c 'for n in $(seq 100); do grep -qx 1 /sys/class/net/e*/carrier && exit 0; sleep 0.2; done; exit 1'; }
for name in a b c; do check "carrier in $name" carrier $name; done

# transfer FROM TO ADDRESS BYTES
transfer() {
	local receiver n
	head -c "$4" /dev/urandom >/tmp/sent.$1
	ip netns exec "$2" timeout 200 socat -u TCP4-LISTEN:5001,reuseaddr "OPEN:/tmp/received.$1,creat,trunc" &
	receiver=$!
	for n in $(seq 100); do
		ip netns exec "$2" ss -Htln sport = :5001 | grep -q . && break
		sleep 0.1
	done
	ip netns exec "$1" timeout 200 socat -u "OPEN:/tmp/sent.$1" "TCP4:$3:5001" || return 1
	wait $receiver
	cmp "/tmp/sent.$1" "/tmp/received.$1"
}
check "1 MB from the first to the second" transfer a b 10.9.0.2 1000000
check "1 MB from the second to the third" transfer b c 10.9.0.3 1000000

# Each counts its own crossings.
crossings() { awk '{ n += $NF } END { print n }' "$SIDE/$1/crossings"; }
check "the third has its own counters" test "$(crossings third)" != "$(crossings second)"

# Memory: a limit of one says nothing about the other.
check "a limit out of range is refused" sh -c "! echo 5 2>/dev/null >$SIDE/third/memory_max"
check "a limit is taken" sh -c "echo 1048576 >$SIDE/third/memory_max; grep -qx 1048576 $SIDE/third/memory_max"
starved() { ! ip netns exec c ethtool -G "$(ip netns exec c ls /sys/class/net | grep ^e)" rx 4096; }
check "an allocation over the limit fails" starved
check "and the domain lives" grep -qx running $SIDE/third/state
check "and the limit of the second is its own" grep -qvx 1048576 $SIDE/second/memory_max

# The third dies in the middle of a transfer of the others.
(transfer a b 10.9.0.2 1000000; echo $? >/tmp/beside) >/dev/null 2>&1 &
sleep 1
echo "100 100" >$SIDE/third/budget_us
ip netns exec c sh -c 'ethtool -S e* >/dev/null 2>&1; ping -c 2 -W 1 10.9.0.1 >/dev/null'
for n in $(seq 100); do grep -qx running $SIDE/third/state || break; sleep 0.1; done
check "the third is dead" grep -qvx running $SIDE/third/state
wait
check "the transfer between the others is whole" test "$(cat /tmp/beside)" = 0
check "the first lives" grep -qx running $SIDE/e1000e/state
check "the second lives" grep -qx running $SIDE/second/state
check "1 MB more" transfer b a 10.9.0.1 1000000
for name in third second e1000e; do check "unload $name" sh -c "echo $name >$SIDE/unload"; done
check "rmmod" side_unload
finish
