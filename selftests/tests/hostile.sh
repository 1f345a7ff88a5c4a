#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Each hostile payload ends its own domain with the right report, while the machine keeps serving a
# TCP stream over an ordinary NIC.
# timeout: 400
# vm: --smp 2 --nic e1000,net=hub --nic e1000,net=hub
shopt -s extglob
. "$(dirname "$0")/../lib.sh"
ktap
HOSTILE=/side/build/payload/side_hostile.ko
KERNEL_TEXT=$(awk '$3 == "_text" { print "0x" $1 }' /proc/kallsyms)

check "side loads without a driver" insmod "$MODULE"

# A TCP stream between the two ordinary NICs, from before the first payload until after the last.
modprobe e1000
A=$(interface_of "$(pci_of 0x8086:0x100e)")
B=$(interface_of "$(pci_of 0x8086:0x100e 2)")
ip netns add peer
ip link set "$B" netns peer
ip link set "$A" up
ip addr add 10.9.0.1/24 dev "$A"
in_peer ip link set "$B" up
in_peer ip addr add 10.9.0.2/24 dev "$B"
wait_carrier "$A"
in_peer socat -u TCP4-LISTEN:5002,reuseaddr OPEN:/tmp/stream,creat,trunc &
SINK=$!
sleep 0.5
(while [ ! -e /tmp/enough ]; do date; sleep 0.05; done | tee /tmp/streamed) | socat -u - TCP4:10.9.0.2:5002 &
STREAM=$!

# attack NUMBER RULE [ADDRESS]: the payload must die, by that rule.
attack() {
	local status=0 rule
	echo "$HOSTILE attack=$1 ${3:+address=$3}" >$SIDE/load || status=$?
	# A payload that dies in a timer or after init leaves a failed domain behind.
	for _ in $(seq 40); do
		grep -qx running $SIDE/side_hostile/state 2>/dev/null || break
		sleep 0.1
	done
	if [ -d $SIDE/side_hostile ]; then
		rule=$(cut -d' ' -f1 $SIDE/side_hostile/last_fault)
		echo side_hostile >$SIDE/unload
	else
		rule=$(dmesg | sed -n 's/.*side_hostile: domain ended: \([a-z0-9-]*\).*/\1/p' | tail -n 1)
	fi
	dmesg -C
	echo "status $status, rule $rule"
	# The rule may be a pattern.
	# shellcheck disable=SC2053 # a pattern is meant
	[[ $rule == $2 ]]
}

check "read of kernel text" attack 1 kernel-address "$KERNEL_TEXT"
check "read of the direct map" attack 1 kernel-address 0xffff888000000000
check "write of kernel text" attack 2 kernel-address "$KERNEL_TEXT"
check "call of kernel text" attack 3 kernel-address "$KERNEL_TEXT"
check "read of the CPU entry area" attack 1 kernel-address 0xfffffe0000001000
check "read of an address that is not canonical" attack 1 non-canonical 0x8000000000000000
check "read of NULL" attack 1 null-pointer 0x8
check "read of unmapped user memory" attack 1 unmapped-address 0x7f0000000000
check "jump into data" attack 4 no-execute
check "stack overflow" attack 5 stack-overflow
check "endless loop" attack 6 budget-exceeded
check "endless loop with cli" attack 7 budget-exceeded
check "endless loop in a timer" attack 8 budget-exceeded
# Not 28 (wbinvd): the emulator executes it at any level.
for n in 20 21 22 23 24 25 26 27 29 30 33 34 35 36 52 53; do
	check "privileged instruction, payload $n" attack $n privileged-instruction
done
check "in from a foreign port" attack 31 foreign-port
check "out to a foreign port" attack 32 foreign-port
for n in 40 41 42 43 44 49; do
	check "way into the kernel, payload $n" attack $n forbidden-entry
done
check "ud2 outside the bug table" attack 48 invalid-opcode
check "vector registers" attack 50 fpu-use
check "x87" attack 51 fpu-use
# A far transfer to the 32-bit user segment is no way out either: there is nothing to run at 0.
check "far jump to 32-bit code" attack 45 null-pointer
check "far return to 32-bit code" attack 46 null-pointer

# One line a kind of import: payload, and the rule by which a bad argument of it is refused.
while read -r n rule; do
	for bad in 0x8 0xffffffff81000000 0x8000000000000000 0x30000000; do
		check "argument $bad, payload $n" attack "$n" "$rule" $bad
	done
done <<END
60 bad-pointer
61 bad-free
62 not-a-net-device
63 not-a-pci-device
64 @(bad-pointer|bad-timer)
65 @(bad-pointer|not-a-device)
66 not-an-skb
67 unmap-unknown-registers
68 not-a-net-device
69 not-a-napi
70 not-a-net-device
71 bad-pointer
72 free-unknown-irq
END
stream_is_whole() {
	touch /tmp/enough
	wait $STREAM $SINK
	[ -s /tmp/stream ] && cmp /tmp/streamed /tmp/stream
}
check "the TCP stream beside went on, and is whole" stream_is_whole
check "rmmod" side_unload
finish
