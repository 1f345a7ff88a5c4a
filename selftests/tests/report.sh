#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What a death leaves for its reader: tracepoints for the fault, the death and the recovery, and a
# device coredump that scripts/decode-report turns into text with symbols.
# vm: --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap
PORTS=/side/build/payload/side_ports.ko

# Coredumps of earlier tests stay for five minutes.
for dump in /sys/class/devcoredump/devcd*/data; do
	[ -e "$dump" ] && echo 1 >"$dump"
done
TRACING=/sys/kernel/tracing

[ -d $TRACING/events ] || mount -t tracefs tracefs $TRACING
check "side loads without a driver" insmod "$MODULE"
tracepoints() { ls $TRACING/events/side/side_{fault,death,recovery}/format; }
check "the tracepoints are there" tracepoints
echo 1 >$TRACING/events/side/enable
: >$TRACING/trace

# The payload has a device, dies by a port that is not its own, and stays behind failed.
die() {
	echo "$PORTS attack=4" >$SIDE/load
	for _ in $(seq 50); do
		compgen -G '/sys/class/devcoredump/devcd*/data' >/dev/null && grep -q side_recovery $TRACING/trace && return 0
		sleep 0.1
	done
	return 1
}
check "a death leaves a coredump, and a recovery" die
traced() { grep "$1" $TRACING/trace; }
check "trace of the fault" traced 'side_fault: driver=side_ports vector=13 error=0x0 '
check "trace of the death" traced 'side_death: driver=side_ports rule=foreign-port upcall=probe value=0xcf8 ip=0x20'
check "trace of the recovery" traced 'side_recovery: driver=side_ports took_ns=[1-9]'
echo 0 >$TRACING/events/side/enable

cat /sys/class/devcoredump/devcd*/data >/tmp/dump
dmesg >/tmp/log
decoded() { /side/scripts/decode-report "$@" >/tmp/text 2>&1; }
says() { grep -E "$1" /tmp/text || { cat /tmp/text; false; }; }
check "the coredump is decoded with the driver file" decoded --driver $PORTS --debug $PORTS /tmp/dump
check "its report has the cause" says 'SIDE: foreign-port in probe(\.cold)?\+'
check "its report has the recent crossings" says 'import pci_enable_device\(0x'
check "its registers" says '^  RDX +0x0*cf8$'
check "its instruction by name" says '^  RIP +0x0*20[0-9a-f]+ probe(\.cold)?\+0x'
check "its stack has the way there by name" says '^  0x18[0-9a-f]+: 0x0*20[0-9a-f]+ [a-z_.]+\+0x'
check "the log's entry is decoded too" decoded --debug $PORTS /tmp/log
check "with the cause" says 'write of 4 bytes at port 0x0cf8, not the device'
refused() { ! decoded "$1" && [ "$(wc -l </tmp/text)" = 1 ]; }
head -c 5000 /tmp/dump >/tmp/short
check "a dump that is cut short is refused in one line" refused /tmp/short
check "another file is refused in one line" refused /etc/passwd
check "a missing file is refused in one line" refused /tmp/nothing
echo 1 >"$(echo /sys/class/devcoredump/devcd*/data)"
[ ! -d $SIDE/side_ports ] || echo side_ports >$SIDE/unload
check "rmmod" side_unload
finish
