#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Each hostile payload ends its own domain with the right report, while the machine keeps serving a
# TCP stream over an ordinary NIC.
# vm: --smp 2 --nic e1000,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap
HOSTILE=/side/build/payload/side_hostile.ko
KERNEL_TEXT=$(awk '$3 == "_text" { print "0x" $1 }' /proc/kallsyms)

check "side loads without a driver" insmod "$MODULE"

# attack NUMBER RULE [ADDRESS]: the payload must die, by that rule.
attack() {
	echo "$HOSTILE attack=$1 ${3:+address=$3}" >$SIDE/load
	local status=$? rule
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
	[ "$rule" = "$2" ]
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
for n in 20 21 22 23 24 25 26 27 28 29 30 33 34 35 36 52 53; do
	check "privileged instruction, payload $n" attack $n privileged-instruction
done
check "in from a foreign port" attack 31 foreign-port
check "out to a foreign port" attack 32 foreign-port
for n in 40 41 42 43 44 45 46 49; do
	check "way into the kernel, payload $n" attack $n forbidden-entry
done
check "ud2 outside the bug table" attack 48 invalid-opcode
check "vector registers" attack 50 fpu-use
check "x87" attack 51 fpu-use
for n in 60 61 62 63 64 65 66 67 68 69 70 71 72; do
	for bad in 0x10 0xffffffff81000000 0x8000000000000000 0x20000000; do
		check "argument $bad, payload $n" attack $n bad-argument $bad
	done
done
check "rmmod" side_unload
finish
