#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The module loads on the packaged kernel without a driver, shows its control files, and unloads;
# the kernel's own checkers have nothing to say.
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
finish
