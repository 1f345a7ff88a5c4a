#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Timers, work, locks, memory and time: right use gives right answers, each wrong use ends the domain
# by its own rule, and nothing of it stays behind.
# vm: --smp 2
. "$(dirname "$0")/../lib.sh"
ktap
CLUMSY=/side/build/payload/side_clumsy.ko

check "side loads without a driver" insmod "$MODULE"

# mistake NUMBER RULE [SECONDS]: the driver must die by that rule, in that time.
mistake() {
	local status rule seconds=$((${3:-5} * 10))
	dmesg -C
	echo "$CLUMSY mistake=$1" >$SIDE/load
	status=$?
	for _ in $(seq $seconds); do
		grep -qx running $SIDE/side_clumsy/state 2>/dev/null || break
		sleep 0.1
	done
	rule=$(rule_of side_clumsy)
	[ ! -d $SIDE/side_clumsy ] || echo side_clumsy >$SIDE/unload
	dmesg | tail -n 30
	echo "status $status, rule $rule"
	[ "$rule" = "$2" ]
}

correct() {
	echo "$CLUMSY mistake=0" >$SIDE/load && echo side_clumsy >$SIDE/unload
}
check "right use is answered rightly" correct
check "endless delay in a timer" mistake 1 budget-exceeded
check "timer that waits for itself" mistake 2 timer-self-wait
check "sleep in a timer" mistake 3 sleep-in-atomic
check "endless imports in a timer" mistake 4 budget-exceeded
check "work that waits for itself" mistake 5 work-self-wait
check "mutex unlocked by another task" mistake 6 mutex-not-owner
check "two tasks that wait for each other's mutex" mistake 7 mutex-wait-too-long 60
check "mutex locked twice" mistake 8 mutex-deadlock
check "double free" mistake 9 double-free
check "free of the middle" mistake 10 bad-free
check "return with a spinlock held" mistake 11 left-atomic
check "sleep under a spinlock" mistake 12 sleep-in-atomic
check "work function that is data" mistake 13 bad-work
check "spinlock taken twice" mistake 14 budget-exceeded
check "endless sleep" mistake 15 deadline-exceeded 90
check "free of foreign pages" mistake 16 bad-page
check "endless delay under a spinlock" mistake 17 budget-exceeded

# A timer and a work item that start themselves again must go with the driver.
left_behind() {
	for _ in $(seq 20); do
		echo "$CLUMSY mistake=20" >$SIDE/load && sleep 0.2 && echo side_clumsy >$SIDE/unload || return 1
	done
}
check "unload with timer and work running, twenty times" left_behind
check "rmmod" side_unload
no_complaint() { ! dmesg | grep -E 'BUG|WARNING|Oops|lockup|stall'; }
check "no complaint of the kernel" no_complaint
finish
