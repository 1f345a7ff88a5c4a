#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In the guest, on a machine whose time counts instructions: the price of a packet in each mode.
#
# usage: icount.sh PACKETS REPEATS MODE...
# prints "RESULT {...}" lines for scripts/bench, and what could not be measured as "SKIP ..."
set -u
. /side/selftests/lib.sh
. /side/selftests/measure/lib.sh
packets=$1 repeats=$2
shift 2

measure_peer || exit 1
for wanted; do
	measure_mode "$wanted"
	case $? in
	0) ;;
	4) echo "SKIP mode $wanted: this version of SIDE does not have it"; continue ;;
	*) exit 1 ;;
	esac
	while read -r workload frames; do
		for frame in $frames; do
			for repeat in $(seq "$repeats"); do
				count=$packets
				case $workload in *-rr) count=$((packets / 5)) ;; esac
				measure "$workload" "$frame" "$count" || exit 1
				echo "RESULT {$figure, \"repeat\": $repeat}"
			done
		done
	done <<<"$(measure_workloads | grep -E "${WORKLOADS:-.}")"
done
measure_unload
echo DONE
