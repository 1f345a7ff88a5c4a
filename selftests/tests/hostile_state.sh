#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What hostile.sh does not attack: the kernel's own structures where they lie, the interrupted
# program's memory and registers, further imports; and what a driver may do and goes on.
# timeout: 800
# vm: --smp 2 --nic e1000,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../hostile.sh"

bad_arguments <<END
73 @(bad-pointer|bad-work|not-a-workqueue)
74 @(bad-pointer|bad-mutex)
76 @(bad-pointer|bad-free)
77 @(kernel-address|non-canonical|null-pointer|unmapped-address)
78 not-an-skb
79 not-a-net-device
80 not-a-pci-device
81 none
82 bad-pointer
83 @(kernel-address|non-canonical|null-pointer|unmapped-address)
84 @(kernel-address|non-canonical|null-pointer|unmapped-address)
END
# The kernel's own structures, where they really lie.
check "the witness tells addresses" insmod /side/build/payload/side_witness.ko
witness() { printf '0x%x' "$(cat /sys/module/side_witness/parameters/"$1")"; }
for what in idt gdt tss percpu task stack; do
	check "read of $what" attack 1 kernel-address "$(witness $what)"
	check "write of $what" attack 2 kernel-address "$(witness $what)"
	check "call of $what" attack 3 kernel-address "$(witness $what)"
done
rmmod side_witness

# What a driver may do is reported or emulated, and it goes on.
check "warnings, and instructions that are emulated" attack 9 none
reported() { cat /tmp/report; [ "$(grep -c "$1" /tmp/report)" = "$2" ]; }
check "each warning is reported, one of them once" reported 'SIDE: warning in ' 3
check "a warning says what the driver says" reported 'Message: the answer is 42' 1
check "a warning says where" reported 'Source: .*side_hostile.c:[0-9]' 3
check "the driver goes on after them" reported 'side_hostile: went on' 1
check "BUG" attack 10 bug
check "the report names the function" reported 'SIDE: bug in attack_memory' 1
check "the report has the registers" reported 'RIP: 0033:attack_memory' 1
mentioned() { grep -q "$1" /tmp/report; }
check "the report has the call chain" mentioned 'side_hostile: *?\{0,1\} *\(hostile_init\|init_module\)+'
check "the report has the recent crossings" reported 'import _printk(0x' 1

# The interrupted program: a page of its memory, and its registers.
LOADER=by_secret
check "read of the interrupted program's memory" attack 1 unmapped-address
check "write of the interrupted program's memory" attack 2 unmapped-address
check "call of the interrupted program's memory" attack 3 unmapped-address
# Where the domain has memory too, it is the domain's that is reached.
check "write where the domain's stack is" attack 2 none 0x1800c000
check "write where the domain's text is" attack 2 read-only 0x20000000
LOADER=by_registers
build_registers() { x86_64-linux-gnu-gcc-14 -O1 -o /tmp/registers "$PROGRAMS/registers.c"; }
check "the program that watches its registers" build_registers
check "its registers, attacked by SSE" attack 11 fpu-use
check "its registers, attacked by x87" attack 12 fpu-use
check "its registers, attacked by fxrstor" attack 13 fpu-use
check "its registers, while the payload only lives" attack 9 none
LOADER=
check "the TCP stream beside went on, and is whole" stream_is_whole
check "rmmod" side_unload
finish
