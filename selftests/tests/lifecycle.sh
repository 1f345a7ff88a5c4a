#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A driver that is loaded and unloaded, and an interface that goes up and down, leave nothing behind:
# no slab object, vmalloc area, page, interrupt or sysfs entry.
#
# LIFECYCLES (default 20) is how often each is done, after a warm-up; 200 is the long form. A leak of one
# thing each time grows through both halves of that, and through as many more as there are, so what
# grows in each half by half as much is called one; what the kernel caches by itself is bounded and
# comes and goes. slub_debug (--strict) makes the kernel count slab objects exactly: without it, the
# per-CPU lists count as objects in use.
# timeout: 800
# again: the kernel fills caches of its own meanwhile
# vm: --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap
LIFECYCLES=${LIFECYCLES:-20}
WARM=8
CARD=$(pci_of 0x8086:0x10d3)

# Objects that count as in use while they wait: sk_buffs in the NAPI cache of each CPU
# (net/core/skbuff.c: NAPI_SKB_CACHE_SIZE), maple nodes and memory areas in their sheaves (mm/slub.c).
# For these a leak shows when it is larger than what may wait, which the long form brings about.
SLACK=$((64 * $(nproc)))

# snapshot FILE: a line "NAME COUNT" for each thing that could be left behind.
snapshot() {
	# What the page cache, RCU and deferred work hold goes first; then nothing else is under way.
	# Freed vmalloc areas wait until a module's memory is given back (mm/vmalloc.c: vm_reset_perms).
	modprobe -q dummy numdummies=0 && rmmod dummy
	sync
	for _ in 1 2; do
		echo 3 >/proc/sys/vm/drop_caches
		sleep 2
	done
	{
		# Caches that shrink under pressure hold the files of the guest, and are no leak of a driver's.
		grep -l 1 /sys/kernel/slab/*/reclaim_account | awk -F/ '
		{ reclaimed[$5] = 1 }
		END {
			FS = " "
			while ((getline <"/proc/slabinfo") > 0)
				if (/^[^#]/ && $2 ~ /^[0-9]+$/ && !($1 in reclaimed)) print "slab:" $1, $2
		}'
		awk '!/unpurged/ { n++; b += $2 } END { print "vmalloc-areas", n; print "vmalloc-pages", b / 4096 }' /proc/vmallocinfo
		# Pages that neither the free lists nor any of the kernel's own accounts know of: what
		# alloc_pages() handed out. Free pages wait in per-CPU lists, too.
		awk '
		FILENAME == "/proc/zoneinfo" && /pages free/ { free += $3 }
		FILENAME == "/proc/zoneinfo" && $1 == "count:" { free += $2 }
		FILENAME == "/proc/meminfo" && /^(Buffers|Cached|SwapCached|AnonPages|Slab|KernelStack|PageTables|SecPageTables|Percpu):/ { known += $2 / 4 }
		END { print "other-pages", 1e6 - free - known }' /proc/zoneinfo /proc/meminfo
		awk '/^Percpu:/ { print "percpu-pages", $2 / 4 }' /proc/meminfo
		echo "interrupts $(ls /proc/irq | wc -l)"
		echo "sysfs $(find /sys -xdev 2>/dev/null | wc -l)"
		echo "resources $(cat /proc/iomem /proc/ioports | wc -l)"
		echo "module-bytes $(awk '{ b += $2 } END { print b }' /proc/modules)"
		# What the driver holds itself, while it is loaded.
		[ ! -e $SIDE/e1000e/memory ] || sed "s/^/domain:/" $SIDE/e1000e/memory
	} >"$1"
}

# grown TIMES FROM MIDDLE TO: shows what grew by at least half of TIMES in each of the two intervals;
# fails if anything did.
grown() {
	awk -v times="$1" -v slack="$SLACK" '
	FILENAME == ARGV[1] { first[$1] = $2; next }
	FILENAME == ARGV[2] { middle[$1] = $2; next }
	# Access monitoring of the memory manager (mm/damon) goes on by itself all the time.
	/^slab:damon/ { next }
	{
		one = middle[$1] - first[$1]
		two = $2 - middle[$1]
		least = times / 2
		# What no cache stands behind, and nothing else on this machine changes.
		if ($1 ~ /^(vmalloc-areas|interrupts|sysfs|resources|module-bytes)$/) least = 1
		if ($1 ~ /^slab:(skbuff_head_cache|maple_node|vm_area_struct)$/ && one + two < slack) next
		# Page fragments that wait for their next user, and counts of two moments.
		if ($1 == "other-pages" && one + two < 32) next
		if (one >= least && two >= least) { print $1, first[$1], "->", middle[$1], "->", $2; bad = 1 }
	}
	END { exit bad }' "$2" "$3" "$4"
}

# changes FROM TO: for the log.
changes() {
	awk 'NR == FNR { before[$1] = $2; next } $2 != before[$1] { print "#  ", $1, before[$1], "->", $2 }' "$1" "$2"
}

loads() {
	local n
	for n in $(seq "$1"); do
		side_load && NIC=$(interface_of "$CARD") && ip link set "$NIC" up && side_unload || { echo "at $n"; return 1; }
		[ ! -e "$SIDE" ] || return 1
	done
}

ups() {
	local n
	for n in $(seq "$1"); do
		ip link set "$NIC" up && ip link set "$NIC" down || { echo "at $n"; return 1; }
	done
}

# rounds NAME COMMAND: runs COMMAND a half of LIFECYCLES times, with a snapshot around each half. A leak
# goes on for as long as the command is repeated. What else grows and ends (a cache that fills, a page
# table, a free page in a list that is not counted) does not: while something has grown in each of the
# last two halves, there is one more, up to MOST of them.
MOST=6
rounds() {
	local half=$(((LIFECYCLES + 1) / 2)) n=0
	snapshot "/tmp/$1.0"
	for ((n = 1; n <= MOST; n++)); do
		check "$1 $half times, round $n" "$2" $half
		snapshot "/tmp/$1.$n"
		changes "/tmp/$1.$((n - 1))" "/tmp/$1.$n"
		[ $n -gt 1 ] || continue
		grown $half "/tmp/$1.$((n - 2))" "/tmp/$1.$((n - 1))" "/tmp/$1.$n" >/tmp/grown && break
		sed 's/^/# grew: /' /tmp/grown
	done
	check "nothing grew in every round" test $n -le $MOST
}

no_fault() {
	grep -qx none $SIDE/e1000e/last_fault || { dmesg | grep -A12 "domain ended"; return 1; }
}

peer_up
check "load, up and unload, to warm up" loads $WARM
rounds "load, up and unload" loads
check "load" side_load
NIC=$(interface_of "$CARD")
check "up and down, to warm up" ups $WARM
memory_before=$(grep '^heap_live' $SIDE/e1000e/memory)
rounds "up and down" ups
check "the domain's own live memory is the same" test "$memory_before" = "$(grep '^heap_live' $SIDE/e1000e/memory)"
check "no fault happened" no_fault
traffic() { test_interface_up && ping_all -c 20 -i 0.01 10.9.0.2; }
check "it still carries traffic" traffic
check "unload" side_unload

# A comparison that finds nothing is worth something if it would find a leak: clean, one file more held
# open by a process each time, two more.
notices() {
	snapshot /tmp/leak.0
	sleep 1000 3</proc/self/mem &
	snapshot /tmp/leak.1
	sleep 1000 3</proc/self/mem &
	snapshot /tmp/leak.2
	kill %1 %2
	! grown 2 /tmp/leak.0 /tmp/leak.1 /tmp/leak.2
}
check "the comparison notices what stays" notices
finish
