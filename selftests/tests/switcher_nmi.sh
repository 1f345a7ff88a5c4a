#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# NMIs while both CPUs cross rings without a pause, so that they hit ring 3 and the windows of the
# switch. Each is sent when the last was counted. The emulator ends its blocks of translated code
# after each instruction, or the NMIs would all land on the same few boundaries.
# vm: --smp 2 --nic none --append apic_extnmi=all
# alone
# timeout: 400
. "$(dirname "$0")/../lib.sh"
ktap
WANTED=${NMIS:-2000}

# No process is made for an NMI: the monitor's channel stays open and the shell reads the count.
nmis() {
	local row
	while read -r row first second _; do
		[ "$row" = NMI: ] && break
	done </proc/interrupts
	count=$((first + second))
}

coproc MONITOR { vm-monitor -; }

insmod /side/build/selftest/side_selftest.ko || exit 1
dmesg -n 1
[ -z "${SINGLE:-}" ] || vm-monitor one-insn-per-tb on
nice -n 19 /side/build/selftest/switcher gates 1000 >/tmp/gates &
gates=$!
sleep 1

send() {
	local begin last tries
	nmis
	begin=$count
	while [ $((count - begin)) -lt "$WANTED" ] && [ $SECONDS -lt "${LIMIT:-240}" ]; do
		last=$count
		echo nmi >&"${MONITOR[1]}"
		for ((tries = 0; count == last; tries++)); do
			[ $tries -lt 2000 ] || return 1
			nmis
		done
	done
	echo "# $((count - begin)) NMIs in $SECONDS s" >&2
	[ $((count - begin)) -ge $((WANTED / 10)) ]
}
number=1
if send; then echo "ok 1 NMIs arrive, each counted"; else failures=1; echo "not ok 1 NMIs arrive, each counted"; fi
check "the crossings go on" kill -0 $gates
[ -z "${SINGLE:-}" ] || vm-monitor one-insn-per-tb off
kill -TERM $gates; echo "# stopping"
wait $gates
sed "s,^,# ," /tmp/gates
check "the log has nothing but unknown NMIs" bash -c '! dmesg | grep -E "WARNING:|BUG:|Oops|Kernel panic"'
finish
