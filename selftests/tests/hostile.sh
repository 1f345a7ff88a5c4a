#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Each hostile payload ends its own domain with the right report, while the machine keeps serving a
# TCP stream over an ordinary NIC.
# timeout: 800
# vm: --smp 2 --nic e1000,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../hostile.sh"
KERNEL_TEXT=$(awk '$3 == "_text" { print "0x" $1 }' /proc/kallsyms)

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
check "far jump to 32-bit code" attack 45 forbidden-entry
check "far return to 32-bit code" attack 46 forbidden-entry

bad_arguments <<END
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
check "the TCP stream beside went on, and is whole" stream_is_whole
check "rmmod" side_unload
finish
