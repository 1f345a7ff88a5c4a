#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The price of a packet or transaction by count: crossings and instructions in each mode, against ceilings a little
# above what Documentation/performance.md says was measured. The machine's time counts instructions
# (scripts/vm --icount), so nothing here depends on the host.
# timeout: 800
# relaxed
# vm: --icount --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../measure/lib.sh"
ktap
# Enough that the timers of the driver, some ten crossings every two seconds, do not count.
PACKETS=${PACKETS:-2000}
declare -A instructions crossings native

# taken WORKLOAD FRAME [PACKETS]: measures; sets instructions and crossings of "MODE WORKLOAD", a packet or
# transaction, in hundredths for crossings.
taken() {
	local count
	measure "$1" "$2" "${3:-$PACKETS}" || return 1
	count=$(sed 's/.*"packets": \([0-9]*\).*"lost": \([0-9-]*\).*"instructions": \([0-9]*\).*/\1 \2 \3/' <<<"$figure")
	read -r packets lost total <<<"$count"
	[ "$lost" = 0 ] || { echo "$lost of $packets packets were lost"; return 1; }
	instructions[$mode $1]=$((total / packets))
	total=$(grep -o '"\(upcall\|import\) [^"]*": [0-9]*' <<<"$figure" | awk '{ n += $NF } END { print n + 0 }')
	packets=$(sed 's/.*"crossings_packets": \([0-9]*\).*/\1/' <<<"$figure")
	crossings[$mode $1]=$((total * 100 / packets))
	echo "# $mode $1: ${instructions[$mode $1]} instructions, ${crossings[$mode $1]} hundredths of a crossing a packet"
}

# passed WORKLOAD FRAME [PACKETS]: as a result of its own. `check` runs in a subshell, the figures must stay.
passed() {
	local said
	if taken "$@" >/tmp/taken 2>&1; then said="ok"; else said="not ok"; failures=$((failures + 1)); fi
	number=$((number + 1))
	sed 's/^[^#]/# &/' /tmp/taken
	echo "$said $number $mode: $1 at $2 bytes is measured, no packet lost"
}

# ceiling WORKLOAD CROSSINGS INSTRUCTIONS: hundredths of crossings a packet, and instructions a
# packet beyond the native driver's, at most.
ceiling() {
	local extra own=${instructions[$mode $1]:-999999} theirs=${instructions[native $1]:-0}
	extra=$((own - theirs))
	check "$mode: $1 crosses at most $2 hundredths a packet (${crossings[$mode $1]})" \
		test "${crossings[$mode $1]:-999999}" -le "$2"
	check "$mode: $1 takes at most $3 instructions a packet over native ($extra)" \
		test "$theirs" -gt 0 -a "$extra" -le "$3"
}

check "the peer and the traffic programs are ready" test -x "$LOAD"
measure_peer || { check "the peer comes up" false; finish; }
for wanted in native base optimised; do
	measure_mode $wanted || { check "mode $wanted" false; finish; }
	# Buffers are mapped at their first use, which crosses: once around the rings.
	if [ $mode = optimised ]; then measure tcp-rx 1514 "$PACKETS" && measure tcp-tx 1514 "$PACKETS"; fi
	passed pktgen-tx 60
	passed flood-rx 60
	passed tcp-tx 1514
	passed tcp-rx 1514
	passed udp-rr 60 $((PACKETS * 2 / 5))
	case $mode in
	base)
		ceiling pktgen-tx 650 9900
		ceiling flood-rx 850 15000
		ceiling tcp-tx 1000 17500
		ceiling tcp-rx 830 14500
		ceiling udp-rr 2400 36500
		check "no fault happened" grep -qx none $SIDE/e1000e/last_fault
		;;
	optimised)
		ceiling pktgen-tx 10 900
		ceiling flood-rx 10 700
		ceiling tcp-tx 30 1700
		ceiling tcp-rx 18 1200
		ceiling udp-rr 410 7200
		check "no fault happened" grep -qx none $SIDE/e1000e/last_fault
		;;
	esac
done

# A fresh queue's limits (BQL) are small, and the stack stops it after each few packets: whoever tells it
# late of those that were sent makes it wait for the driver's next timer. 2,000 packets take about 30 ms.
fresh_stream() {
	local said
	measure_unload && measure_mode optimised || return 1
	said=$($LOAD udp-tx 1458 2000 warm=200) || return 1
	echo "$said"
	[ "$(awk '{ print $2 }' <<<"$said")" -lt 500000000 ]
}
check "a stream by a fresh driver does not stand still" fresh_stream
check "the module unloads" measure_unload
finish
