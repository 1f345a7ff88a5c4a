#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In the guest: how many instructions of a bare crossing each step takes, from a trace of single steps, on a machine
# that was started with --gdb; or how many a crossing takes by the clock, on one whose time counts instructions.
#
# usage: crossing.sh steps|clock MACHINE     a name for the results: fsgsbase, nofsgsbase or pti
# prints "RESULT {...}" lines for scripts/bench
set -u
what=$1 machine=$2
insmod /side/build/selftest/side_selftest.ko || exit 1
dmesg -n 1
has() {
	case $1 in
	fsgsbase) grep -qw fsgsbase /proc/cpuinfo ;;
	nofsgsbase) ! grep -qw fsgsbase /proc/cpuinfo ;;
	pti) grep -q PTI /sys/devices/system/cpu/vulnerabilities/meltdown ;;
	*) false ;;
	esac
}
has "$machine" || { echo "this machine is not one of $machine"; exit 1; }
# A copy on tmpfs: a file of the root asks the host at each use.
cp /side/build/selftest/switcher /tmp/switcher || exit 1
switcher=/tmp/switcher

if [ "$what" = clock ]; then
	# 10,000 crossings, with the timer's ticks that come meanwhile, and nothing else that wants the CPU.
	sleep 5
	for repeat in 1 2 3 4 5; do
		said=$(chrt -f 10 $switcher cost) || { echo "$said"; exit 1; }
		read -r clock interrupts < <(sed -n 's/^ok .* cost of a crossing # \([0-9.]*\) ns .*, \([0-9]*\) interrupts$/\1 \2/p' <<<"$said")
		[ -n "${interrupts:-}" ] || { echo "$said"; exit 1; }
		echo "RESULT {\"part\": \"crossing\", \"machine\": \"$machine\", \"clock\": $clock, \"interrupts\": $interrupts, \"crossings\": 10000, \"repeat\": $repeat}"
	done
	rmmod side_selftest
	echo DONE
	exit 0
fi

symbol() { awk -v name="$1" '$3 == name && $4 == "[side_selftest]" { print $1 }' /proc/kallsyms; }
counts=$($switcher counts | sed -n 's/^counts //p' | paste -sd,)
$switcher gates 100000 >/tmp/gates &
gates=$!
sleep 1
vm-monitor "!step order enter=$(symbol side_switch_enter) start=$(symbol side_switch_text_start)" \
	"end=$(symbol side_switch_text_end) counts=$counts rounds=3" >/tmp/trace
kill -TERM $gates
wait $gates
if grep -qE '^(not ok|Error|Traceback)' /tmp/trace || ! grep -q '^ok ' /tmp/trace; then
	grep -v '^# at ' /tmp/trace
	exit 1
fi
grep '^ok ' /tmp/trace
python3 -B /side/bench/crossing.py /tmp/trace "$machine" /side/build/selftest/side_selftest.ko \
	/side/build/selftest/src/switcher/offsets.h /side /side/bench/crossing.steps || exit 1
rmmod side_selftest
echo DONE
