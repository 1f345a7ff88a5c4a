# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# What the tests of DMA containment share: sourced after lib.sh. A device is aimed at a page of this
# test's own, whose physical address the kernel tells; to the device it is memory like any other.

PAYLOAD=/side/build/payload/side_dma.ko

# hold_page: a process with a page of 0xa5 in RAM; PAGE_AT is its physical address. It says for each
# line that it is sent whether the page is still whole.
hold_page() {
	# The program is given on the command line: its input is what it is asked by.
	# shellcheck disable=SC2016
	coproc HOLDER { exec python3 -u -c '
import mmap, struct, sys
page = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
page[:] = b"\xa5" * 4096
import ctypes
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
assert ctypes.CDLL(None).mlock(ctypes.c_void_p(address), 4096) == 0
with open("/proc/self/pagemap", "rb") as f:
    f.seek(address // 4096 * 8)
    entry = struct.unpack("Q", f.read(8))[0]
print(hex((entry & (1 << 55) - 1) * 4096))
for _ in sys.stdin:
    print("whole" if page[:] == b"\xa5" * 4096 else "changed")
    page[:] = b"\xa5" * 4096
'; }
	HOLDER_IN=${HOLDER[1]} HOLDER_OUT=${HOLDER[0]}
	read -r PAGE_AT <&"$HOLDER_OUT"
}

# page_state: sets PAGE_STATE.
page_state() {
	echo >&"$HOLDER_IN"
	read -r PAGE_STATE <&"$HOLDER_OUT"
}

# aim WHAT [ADDRESS]: one experiment of the payload, with frames of the peer on the wire, and what
# the peer receives in /tmp/wire. Ends with what the log says of it.
aim() {
	local n
	dmesg -C
	# Broadcasts that any receiver takes, until the experiment is over.
	(while [ ! -e /tmp/aimed ]; do in_peer arping -c 1 -w 1 -I "$PEER" 10.9.0.77; sleep 0.05; done) >/dev/null 2>&1 &
	local sender=$!
	in_peer timeout 60 tcpdump -i "$PEER" -Q in -n -xx -s 0 -U -c 1 'ether[0] = 0xa5' >/tmp/wire 2>/dev/null &
	local sniffer=$!
	sleep 1
	echo "$PAYLOAD what=$1 ${2:+address=$2}" >$SIDE/load
	echo side_dma >$SIDE/unload
	touch /tmp/aimed
	wait $sender
	rm -f /tmp/aimed
	sleep 0.5
	kill $sniffer 2>/dev/null
	wait $sniffer 2>/dev/null
	dmesg | grep -E 'side_dma|DMAR|AMD-Vi' | tail -n 30
}

# What the device of the payload did is what the log says that it did.
says() { grep -q "side_dma: $1" /tmp/aim; }
leaked() { grep -q 'a5a5 a5a5 a5a5 a5a5' /tmp/wire; }
# The emulated AMD IOMMU raises no interrupt for its log of faults, so that Linux prints none.
faults_shown() { [ -n "$(find /sys/class/iommu -name 'dmar*' 2>/dev/null)" ]; }
faulted() { grep -qE 'DMAR.*(fault|DMA (Read|Write))|AMD-Vi.*IO_PAGE_FAULT' /tmp/aim; }

aimed() {
	aim "$@" >/tmp/aim 2>&1
	cat /tmp/aim
}

check_faulted() {
	if faults_shown; then
		check "$1" faulted
	else
		skip "$1" "this IOMMU reports no faults"
	fi
}

# contained TITLE: everything that must hold where the IOMMU holds the device.
contained() {
	check "$1: the log says that the device is contained" dmesg_has "DMA reaches the domain's buffers only"
	check "$1: traffic through e1000e, 1 MB there" send_file 1000000 there
	check "$1: traffic through e1000e, 1 MB here" send_file 1000000 here
	check "$1: no DMA of e1000e faulted" no_fault
	echo e1000e >$SIDE/unload

	aimed 0
	check "$1: a mapped buffer is reached" says 'the buffer has changed'
	check "$1: and nothing faulted" not faulted
	aimed 1 "$PAGE_AT"
	check_faulted "$1: a write elsewhere faults"
	page_state
	check "$1: and changes nothing" test "$PAGE_STATE" = whole
	aimed 2 "$PAGE_AT"
	check_faulted "$1: a read elsewhere faults"
	check "$1: and sends nothing of it" not leaked
	aimed 3
	check_faulted "$1: a write to an unmapped buffer faults"
	check "$1: and changes nothing in it" says 'the buffer has not changed'
}

not() { ! "$@"; }
dmesg_has() { dmesg | grep -q "$1"; }
no_fault() { ! dmesg | grep -E 'DMAR.*fault|AMD-Vi.*IO_PAGE_FAULT'; }

# The peer, and e1000e under SIDE with budgets that a slow emulator does not exceed.
iommu_begin() {
	check "side loads with e1000e" side_load
	echo "60000000 60000000" >$SIDE/e1000e/budget_us
	peer_up # not in `check`, whose subshell would keep the name of its interface
	check "the peer is up" test -n "$PEER"
	check "the interface is up" test_interface_up
	# Not in a subshell: its descriptors are this shell's.
	hold_page
	check "a page to aim at, at ${PAGE_AT:-nowhere}" test "$((PAGE_AT))" -ne 0
}

iommu_end() {
	exec {HOLDER_IN}>&-
	check "rmmod" side_unload
}

# ---- A driver that dies while its card is at work ----

# bus_master on: what a user with setpci can do to a device whose driver is dead.
bus_master() {
	python3 -B -c '
import sys
with open(f"/sys/bus/pci/devices/{sys.argv[1]}/config", "r+b", buffering=0) as f:
    f.seek(4)
    command = int.from_bytes(f.read(2), "little") | 4
    f.seek(4)
    f.write(command.to_bytes(2, "little"))
' "$DEVICE"
}

# Packets in both directions until /tmp/enough is there: a TCP stream each way in bursts of 60 KB, whose ends are
# compared by checksum, and pings.
traffic_begins() {
	local way
	rm -f /tmp/enough
	head -c 60000 /dev/urandom >/tmp/block
	in_peer socat -u TCP4-LISTEN:5003,reuseaddr - 2>/dev/null | sha256sum >/tmp/there.sum &
	socat -u TCP4-LISTEN:5003,reuseaddr - 2>/dev/null | sha256sum >/tmp/here.sum &
	in_peer ping -q -i 0.01 -s 1200 10.9.0.1 >/dev/null 2>&1 &
	FLOODS=$!
	ping -q -i 0.01 -s 1200 10.9.0.2 >/dev/null 2>&1 &
	FLOODS+=" $!"
	sleep 1
	for way in there here; do blocks $way & done
}

blocks() {
	local n=0 to=10.9.0.2 from=""
	[ "$1" = there ] || { to=10.9.0.1 from=in_peer; }
	while [ ! -e /tmp/enough ]; do
		cat /tmp/block
		echo $((n += 1)) >/tmp/blocks.$1
		sleep 0.05
	done | $from socat -u - TCP4:$to:5003
}

# traffic_ends: whether both streams arrived whole.
traffic_ends() {
	local way n
	touch /tmp/enough
	# shellcheck disable=SC2086 # words
	kill $FLOODS
	for way in there here; do
		# The sum is there when the sender has closed, after its last block.
		for n in $(seq 600); do
			[ -s /tmp/$way.sum ] && break
			sleep 0.1
		done
		read -r n </tmp/blocks.$way
		echo "$way: $n blocks"
		[ "$n" -gt 2 ] && [ "$(yes /tmp/block | head -n "$n" | xargs cat | sha256sum)" = "$(cat /tmp/$way.sum)" ] || return 1
	done
}

# deaths COUNT: that many deaths under traffic, in turn in transmit, poll and interrupt.
deaths() {
	local n before place
	for n in $(seq "$1"); do
		before=$(cat $D/recoveries)
		case $((n % 3)) in 0) place=ndo_start_xmit ;; 1) place=poll ;; *) place=irq ;; esac
		echo "$place $((n * 7 % 40 + 1))" >$D/inject
		recovered $((before + 1)) || return 1
	done
}

# Faults of the IOMMU but those between a death and the end of the new driver's first probe, which resets the card.
late_faults() {
	dmesg | awk '/domain ended/ { dead = 1 } /loaded afresh/ { dead = 0 }
		/DMAR.*(fault|DMA (Read|Write))|AMD-Vi.*IO_PAGE_FAULT/ && !dead { print; found = 1 }
		END { exit !found }'
}

# Memory that was free and has been written to: the kernel finds it when it is used again, which is made to happen
# here for what became free last.
freed_memory_written() {
	head -c 100M /dev/zero >/tmp/use
	rm /tmp/use
	dmesg | grep -E 'memory corruption|bit error'
}

# dead_card: the driver is left down while its card knows its rings, somebody turns bus mastering on again,
# and frames arrive.
dead_card() {
	local n
	dmesg -C
	echo "failures 1" >$D/policy
	echo poll >$D/inject
	for n in $(seq 100); do
		grep -qx failed $D/state && break
		in_peer ping -q -c 1 -W 1 10.9.0.1 >/dev/null
	done
	grep -qx failed $D/state || return 1
	bus_master
	in_peer ping -q -b -f -c 200 -s 1200 -W 1 10.9.0.255 >/dev/null 2>&1
	in_peer ip neigh flush all
	in_peer ping -q -f -c 100 -W 1 10.9.0.1 >/dev/null 2>&1
	dmesg | grep -E 'DMAR|AMD-Vi|domain ended|left down' | head
}
dead_mappings() { awk '$3 ~ /mapping|coherent|dma/ && $2 != 0' $D/ledger | grep .; }

# dying_under_dma TITLE COUNT: the driver dies under traffic; its card reaches nothing afterwards.
dying_under_dma() {
	D=$SIDE/e1000e DEVICE=$(pci_of 0x8086:0x10d3) NIC=$(interface_of "$DEVICE")
	echo "failures 0 delay 0" >$D/policy
	dmesg -C
	traffic_begins
	check "$1: $2 deaths under traffic in both directions" deaths "$2"
	check "$1: TCP streams in both directions are whole" traffic_ends
	check "$1: no DMA faulted but between a death and the reset of the card" not late_faults

	check "$1: the driver dies and is left down" dead_card
	if faults_shown; then
		check "$1: its card, as bus master, goes on and faults" dmesg_has 'DMAR.*DMA \(Read\|Write\)'
	else
		skip "$1: its card, as bus master, goes on and faults" "this IOMMU reports no faults"
	fi
	cat $D/ledger | sed 's/^/# /'
	check "$1: nothing is mapped for it" not dead_mappings
	check "$1: and it has written to nothing that is free" not freed_memory_written
	dmesg -C
	check "$1: one write brings the driver back" revived
	check "$1: 1 MB there" send_file 1000000 there
	check "$1: 1 MB here" send_file 1000000 here
	check "$1: and nothing faulted since" not late_faults
}
revived() { echo 1 >$D/restart && wait_carrier "$NIC" 20; }
