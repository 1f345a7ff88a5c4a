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
