#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A driver changes, from a second CPU, what its calls are about while they are in progress, or makes the
# opposite calls: timers, work items, net_devices and their tables, packets, mappings, strings, and the
# other CPU's area. What is right at each moment is accepted and answered rightly; what is not ends
# the domain by a rule of the audit; the kernel is fine.
# RACE_MS (250) is how long each race lasts, RACES the names of those that are wanted.
# timeout: 800
# vm: --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap
PAYLOAD=/side/build/payload/side_race.ko
DRIVER=$SIDE/side_race
ADDRESS=$(pci_of 0x8086:0x10d3)
RACES=${RACES:-timer work netdev owner packet built dma string area}

check "side loads without a driver" insmod "$MODULE"

# What may end a wild race's domain: a rule of the audit, or a fault of the driver's own code in ring 3
# over what it has changed. Which of them comes first depends on the moment.
faults="null-pointer kernel-address non-canonical unmapped-address read-only no-execute use-after-free
	token-access protection general-protection stack-overflow budget-exceeded"
# may_end RULE: whether it is one of these. The rules are those of the audit's documentation.
may_end() {
	# shellcheck disable=SC2086 # the faults are words
	[ "$1" = none ] || printf '%s\n' $faults | grep -qxF "$1" || grep -qF "\`$1\`" /side/Documentation/audit.md
}

# A race of one kind: by its own mark in the log, which is read at the end.
race() {
	echo "<5>race: $1 $2 $3 $4" >/dev/kmsg
	echo "$PAYLOAD race=$2 wild=$3 ms=${RACE_MS:-250} random=$4" 2>/dev/null >$SIDE/load
	echo "failures 1 delay 0" >$DRIVER/policy
	echo "$1" >$DRIVER/mode
	echo "$ADDRESS" >/sys/bus/pci/drivers/side-side_race/bind 2>/dev/null
	echo side_race >$SIDE/unload
	dmesg -c >>/tmp/races
}
dmesg -C
for mode in base optimised; do
	for kind in $RACES; do
		race $mode $kind 0 1
		race $mode $kind 1 2
	done
done
# A line a race: mode, kind, wild, seed, rule, calls, changes, changes inside a call, wrong answers.
awk '
	function flush() { if (name) print name, rule, calls, changes, inside, wrong }
	/ race: / { flush(); split($0, part, " race: "); name = part[2]; rule = "none"; calls = changes = inside = wrong = "-" }
	/side_race: domain ended: / { if (rule == "none") { split($0, part, "domain ended: "); split(part[2], word, " "); rule = word[1] } }
	/race [a-z]*: calls / { for (n = 1; n < NF; n++) { if ($n == "calls") calls = $(n + 1)
		if ($n == "changes") changes = $(n + 1); if ($n == "inside") inside = $(n + 1); if ($n == "wrong") wrong = $(n + 1) } }
	END { flush() }' /tmp/races >/tmp/results
sed 's/^/# /' /tmp/results

# honest MODE KIND: no rule, calls, and no wrong answer.
honest() {
	awk -v mode="$1" -v kind="$2" '$1 == mode && $2 == kind && $3 == 0 {
		print; found = $5 == "none" && $6 > 0 && $9 == 0 } END { exit !found }' /tmp/results
}
# A machine that loses a CPU for the whole of a race has no changes in it: not each race must have some.
some_inside() { awk '$3 == 0 && $8 > 0 { n++ } END { print n + 0; exit !(n >= 5) }' /tmp/results; }
# hostile MODE KIND: to the end, or ended as it may be.
hostile() {
	local rule
	rule=$(awk -v mode="$1" -v kind="$2" '$1 == mode && $2 == kind && $3 == 1 { print $5 == "none" && $6 == "-" ? "nothing" : $5 }' /tmp/results)
	echo "ended by $rule"
	may_end "$rule"
}
some_hostile() { [ "$(awk '$3 == 1 && $5 != "none"' /tmp/results | wc -l)" -gt 0 ]; }
for mode in base optimised; do
	for kind in $RACES; do
		check "$mode, $kind: right values that change are accepted and answered rightly" honest $mode "$kind"
		check "$mode, $kind: wrong ones end the domain by a rule, or are ignored" hostile $mode "$kind"
	done
done
check "changes came while calls were in progress" some_inside
check "some races were lost to a rule" some_hostile
no_complaint() { ! cat /tmp/races - < <(dmesg) | grep -E 'BUG|WARNING|Oops|refcount|KFENCE|lockup|stall'; }
check "no complaint of the kernel" no_complaint
check "no interface is left" test -z "$(find /sys/bus/pci/devices/"$ADDRESS"/net -mindepth 1 -maxdepth 1 2>/dev/null)"
check "rmmod" side_unload
finish
