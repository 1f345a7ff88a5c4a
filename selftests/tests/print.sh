#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What a driver formats is the same text, whether the kernel does it or SIDE.
# vm: --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap
PRINT=/side/build/payload/side_print.ko

lines() { dmesg | sed -n 's/.*print|/|/p'; }

dmesg -C
check "the payload prints in the kernel" insmod $PRINT
lines >/tmp/print.native
rmmod side_print
check "it printed" grep -q "|52:54:00:12:34:af 5254001234af" /tmp/print.native
check "side loads without a driver" insmod "$MODULE"
dmesg -C
check "the payload prints under SIDE" sh -c "echo $PRINT >$SIDE/load"
lines >/tmp/print.side
check "the same $(wc -l </tmp/print.native) lines" diff -u /tmp/print.native /tmp/print.side
check "no fault happened" grep -qx none $SIDE/side_print/last_fault
check "it unloads" sh -c "echo side_print >$SIDE/unload"
# Each domain has a share of the log of its own.
flood() {
	dmesg -C
	echo "$PRINT flood=3000" >$SIDE/load && echo "$E1000E" >$SIDE/load || return 1
	echo "$(dmesg | grep -c 'flooded|') lines of 3000, $(dmesg | grep -c 'e1000e.*PCI Express:') of the other"
	[ "$(dmesg | grep -c 'flooded|')" = 500 ] && dmesg | grep -q 'e1000e.*PCI Express:'
}
check "a driver that floods the log is cut short, and silences no other" flood
check "both unload" sh -c "echo side_print >$SIDE/unload && echo e1000e >$SIDE/unload"
check "rmmod" side_unload
finish
