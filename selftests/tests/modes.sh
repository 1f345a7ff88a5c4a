#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The base and the optimised mode, and each optimisation alone: traffic passes in all of them, and
# switching between them under load loses nothing. SWITCHES: how many (1000 in the long form).
# timeout: 800
# again: a host that stalls can lose datagrams and delay answers
# vm: --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap
SWITCHES=${SWITCHES:-40}
DRIVER=$SIDE/e1000e

# crossings_total: upcalls and imports so far.
crossings_total() {
	awk '{ total += $3 } END { print total }' $DRIVER/crossings
}

check "side loads with the packaged e1000e" side_load
peer_up
check "the interface comes up with carrier" test_interface_up
NIC=$(interface_of "$(pci_of 0x8086:0x10d3)")
check "the mode is base" grep -qx base $DRIVER/mode
check "every optimisation is off" test "$(cat $DRIVER/optimisations/* | sort -u)" = 0

refused() {
	! echo fast >$DRIVER/mode && ! echo 2 >$DRIVER/optimisations/local_stubs && grep -qx base $DRIVER/mode
}
check "other words are refused and change nothing" refused 2>/dev/null

pings() {
	ping_all -c "$1" -i 0.005 -s "${2:-56}" 10.9.0.2
}
# crossings_of COMMAND...: how many the command makes.
crossings_of() {
	local before
	before=$(crossings_total)
	"$@" >&2 || return 1
	echo $(($(crossings_total) - before))
}
each_size() {
	for size in 18 300 1472; do pings 20 $size || return 1; done
}
base=$(crossings_of send_file 500000 here)
check "the optimised mode is switched on" bash -c "echo optimised >$DRIVER/mode && grep -qx optimised $DRIVER/mode"
check "pings from 60 to 1,514 bytes, none lost" each_size
counted() {
	local before
	before=$(cat "/sys/class/net/$NIC/statistics/rx_packets")
	pings 20 && [ "$(cat "/sys/class/net/$NIC/statistics/rx_packets")" -ge $((before + 20)) ] && [ "$before" -gt 0 ]
}
check "the interface's statistics go on counting" counted
check "TCP to the peer, 1 MB, same checksum" send_file 1000000 there
check "TCP from the peer, 1 MB, same checksum" send_file 1000000 here
optimised=$(crossings_of send_file 500000 here)
echo "# crossings for 500 KB from the peer: base $base, optimised $optimised"
check "the optimised mode crosses at most a third as often" test $((optimised * 3)) -lt "$base"

for path in $DRIVER/optimisations/*; do
	name=$(basename "$path")
	alone() {
		echo base >$DRIVER/mode && echo 1 >"$path" && grep -qx mixed $DRIVER/mode &&
			pings 10 && pings 10 1472 && send_file 200000 there && send_file 200000 here
	}
	check "$name alone" alone
done

switches() {
	local n events
	events=$(cat "/sys/class/net/$NIC/carrier_changes")
	ping_all -i 0.002 -c $((SWITCHES * 10)) 10.9.0.2 &
	local pinger=$!
	for n in $(seq $((SWITCHES / 2))); do
		echo optimised >$DRIVER/mode || return 1
		sleep 0.01
		echo base >$DRIVER/mode || return 1
		sleep 0.01
	done
	wait $pinger && [ "$(cat "/sys/class/net/$NIC/carrier_changes")" = "$events" ]
}
check "$SWITCHES switches under pings: none lost, no interface event" switches

switches_under_tcp() {
	(
		while :; do
			echo optimised; sleep 0.005; echo base; sleep 0.005
		done
	) | while read -r word; do echo "$word" >$DRIVER/mode; done &
	local switcher=$!
	send_file 1000000 there && send_file 1000000 here
	local status=$?
	kill $switcher
	wait $switcher 2>/dev/null
	return $status
}
check "TCP both ways while the mode switches, same checksums" switches_under_tcp
check "no fault happened" grep -qx none $DRIVER/last_fault
echo "# crossings:"
sed 's/^/#   /' $DRIVER/crossings
check "rmmod in the optimised mode" bash -c "echo optimised >$DRIVER/mode && rmmod side"
finish
