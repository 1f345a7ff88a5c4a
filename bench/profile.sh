#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In the guest, on a machine whose time counts instructions and that was started with --out: how often
# each instruction is executed for a workload, in each mode.
#
# usage: profile.sh PACKETS "WORKLOAD FRAME"... -- MODE...
# leaves in /out, for bench/profile.py: NAME.counts for each "WORKLOAD FRAME MODE", the kernel's symbols
# of each mode, and where the sections of the driver lie in its domain.
# prints "WINDOW {...}" lines: what was counted, and what the clock says of the same run.
set -u
. /side/selftests/lib.sh
. /side/selftests/measure/lib.sh
packets=$1
shift
loads=()
while [ "$1" != -- ]; do loads+=("$1"); shift; done
shift

# The window of pktgen begins with its first packet and ends where it takes the time; the program's is
# between two looks at the clock.
marker() {
	case $1 in
	pktgen-tx | flood-rx | peer-tx)
		echo "$(awk '$3 ~ /^pktgen_(alloc_skb|stop_device)(\.isra\.0)?$/ { printf "%s%s", comma, $1; comma = "," }' \
			/proc/kallsyms) 1 0"
		;;
	*) echo "$(nm "$LOAD" | awk '$3 == "now" { print $1 }') 2 3" ;;
	esac
}

# monitor COMMAND: as vm-monitor, by this shell itself: while the trace is on each process costs a
# minute, and so does each tick of a guest that waits for one.
exec 7<>/dev/virtio-ports/side.mon
monitor() {
	local length answer=
	printf '%s\n' "$1" >&7
	read -r length <&7
	[ "$length" = 0 ] || IFS= read -r -d '' -N "$length" answer <&7
	[ -z "$answer" ] || printf '%s' "$answer"
}

tracing=
window_open() {
	[ -z "$tracing" ] || { monitor "one-insn-per-tb on" && monitor "log exec,nochain"; }
}
window_close() {
	[ -z "$tracing" ] || { monitor "log none" && monitor "one-insn-per-tb off"; }
}

measure_peer || exit 1
for wanted; do
	measure_mode "$wanted" || exit 1
	# Buffers are mapped at their first use, which crosses: once around the rings.
	measure tcp-rx 1514 500 && measure tcp-tx 1514 500 || exit 1
	cat /proc/kallsyms >"/out/$mode.symbols"
	[ "$mode" = native ] || cat $SIDE/e1000e/sections >"/out/$mode.sections"
	for load in "${loads[@]}"; do
		read -r workload frame <<<"$load"
		count=$packets
		case $workload in *-rr) count=$((packets / 5)) ;; esac
		name=$workload-$frame-$mode
		tracing="$name $(marker "$workload")"
		monitor "!profile start $tracing"
		monitor "logfile /mnt/vm/trace"
		measure "$workload" "$frame" "$count" || exit 1
		monitor "logfile /dev/null"
		traced=$(monitor "!profile stop $name")
		tracing=
		[[ $traced =~ ^[0-9]+$ ]] || { echo "profile: $name: $traced"; exit 1; }
		echo "WINDOW {\"name\": \"$name\", $figure, \"traced\": $traced}"
	done
done
measure_unload
echo DONE
