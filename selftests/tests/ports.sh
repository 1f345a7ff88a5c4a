#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Port I/O: a driver reaches the ports of its own device's I/O BAR, by every form of `in` and `out`,
# from the request of the region to its release, and no other port.
# vm: --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap
PORTS=/side/build/payload/side_ports.ko

check "side loads without a driver" insmod "$MODULE"

# ports ATTACK: loads and unloads; the log is in /tmp/report, the rule in RULE.
ports() {
	dmesg -C
	echo "$PORTS attack=$1" >$SIDE/load
	[ ! -d $SIDE/side_ports ] || echo side_ports >$SIDE/unload
	dmesg >/tmp/report
	RULE=$(sed -n 's/.*side_ports: domain ended: \([a-z0-9-]*\).*/\1/p' /tmp/report)
	RULE=${RULE:-none}
	cat /tmp/report
	echo "rule $RULE"
}
agree() { ports 0 && [ "$RULE" = none ] && grep -q 'ports and window agree' /tmp/report; }
refused() { ports "$1" && [ "$RULE" = "$2" ]; }
check "the ports show what the register window shows" agree
check "a port before the region was requested" refused 1 foreign-port
check "the port below the BAR" refused 2 foreign-port
check "an access across the end of the BAR" refused 3 foreign-port
check "the configuration ports" refused 4 foreign-port
check "string input to a kernel address" refused 5 kernel-address
check "a port after the region was released" refused 6 foreign-port
check "rmmod" side_unload
finish
