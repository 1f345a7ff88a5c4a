#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A CPU that a timer wakes from idle comes to a driver's poll that never ends: the domain ends within
# its budget and 2 ms. The machine's time counts instructions (scripts/vm --icount), so nothing here
# depends on the host.
# relaxed
# vm: --icount --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap
PAYLOAD=/side/build/payload/side_attack.ko
D=$SIDE/side_attack

check "side loads without a driver" insmod "$MODULE"
# stamp PATTERN: when the kernel's log has the line, in microseconds.
stamp() { dmesg | sed -n "/$1/ s/^\[ *\([0-9]*\)\.\([0-9]*\)\].*/\1\2/p" | tail -n 1; }

for budget in 20000 100000; do
	dmesg -C
	spin() {
		local n
		echo "$PAYLOAD attack=poll_for_ever" >$SIDE/load || return 1
		echo "10000000 $budget" >$D/budget_us || return 1
		for n in $(seq 100); do
			grep -q "budget-exceeded" $D/last_fault && return 0
			sleep 0.1
		done
		cat $D/state $D/last_fault
		dmesg | tail
		return 1
	}
	check "a poll that never ends, budget $budget us: ended" spin
	began=$(stamp "polls for ever")
	ended=$(stamp "side_attack: .*budget-exceeded")
	used=$(dmesg | sed -n 's/.*: \([0-9]*\) us in ring 3 in one upcall.*/\1/p' | head -n 1)
	echo "# began at ${began:-?}, reported at ${ended:-?}, ${used:-?} us charged"
	check "by the domain's account it had at most 2 ms more" test "${used:-999999}" -le $((budget + 2000))
	check "by the kernel's clock too" test $((${ended:-99999999} - ${began:-0})) -le $((budget + 2000))
	check "not ended early" test "${used:-0}" -ge "$budget"
	check "unload" bash -c "echo side_attack >$SIDE/unload"
done
check "rmmod" side_unload
finish
