#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The module loads on the packaged kernel without a driver, shows its control files, and unloads;
# the kernel's own checkers have nothing to say. A driver with unknown imports is refused, or with
# allow_missing=1 loaded until it calls one.
# vm: --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap
check "insmod" insmod "$MODULE"
check "the control folder is there" test -d $SIDE
check "rmmod" rmmod side
check "the control folder is gone" test ! -e $SIDE
again() {
	for _ in $(seq 20); do
		insmod "$MODULE" && rmmod side || return 1
	done
}
check "20 times more" again

# While the last driver is unloaded another load waits, or comes when the files are about to go.
beside() {
	local n
	for n in 0 1 2 3 4 5 6 7; do
		side_load || return 1
		(sleep 0.$n && echo "as=late $E1000E" >$SIDE/load) 2>/dev/null &
		# A write that is in progress does not hold the module.
		rmmod side || return 1
		wait
		[ ! -e $SIDE ] || return 1
	done
}
check "a load while the module goes" beside

MISSING=/side/build/payload/side_missing.ko
refused() {
	dmesg -C
	! insmod "$MODULE" driver=$MISSING 2>/dev/null && [ ! -e $SIDE ] &&
		[ "$(dmesg | grep -c 'unknown: filp_open filp_close$')" = 1 ]
}
check "unknown imports are named together, and refused" refused
loaded() {
	insmod "$MODULE" driver=$MISSING allow_missing=1 && [ "$(cat $SIDE/side_missing/state)" = running ] && rmmod side
}
check "allow_missing=1 loads all the same" loaded
ended() {
	dmesg -C
	! insmod "$MODULE" driver=$MISSING allow_missing=1 params=call=1 2>/dev/null && [ ! -e $SIDE ] || return 1
	dmesg | grep -q 'side_missing: unknown import filp_open called' &&
		dmesg | grep -q 'side_missing: domain ended: unknown-import '
}
check "a call of one ends the domain" ended

# many DEFINED UNDEFINED: that driver with so many symbols more.
many() { python3 -B /side/selftests/symbols.py $MISSING /tmp/side_missing.ko "$1" "$2"; }
too_many() {
	many "$1" "$2" && dmesg -C
	! insmod "$MODULE" driver=/tmp/side_missing.ko allow_missing=1 2>/dev/null && [ ! -e $SIDE ] &&
		dmesg | grep -q "side_missing.ko: more than $3$"
}
check "a file of 300,000 symbols is refused" too_many 300000 0 "262144 symbols"
check "a file of 5,000 undefined symbols is refused" too_many 0 5000 "4096 undefined symbols"
nearly() {
	many 250000 4000 && dmesg -C
	! insmod "$MODULE" driver=/tmp/side_missing.ko allow_missing=1 params=call=1 2>/dev/null && [ ! -e $SIDE ] || return 1
	# What is undefined and used by nothing needs no stub.
	dmesg | grep -q 'side_missing.ko: 2 unknown imports' &&
		dmesg | grep -q 'side_missing: domain ended: unknown-import '
}
check "one of 254,000 is not, and its report names places" nearly
rm -f /tmp/side_missing.ko
finish
