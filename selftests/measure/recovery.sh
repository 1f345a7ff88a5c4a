# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# Sourced in the guest after selftests/measure/lib.sh by what measures how long users of an interface are without it.
#
#   recovery_peer     the peer's program, once a guest, after measure_peer; recovery_peer_end ends it
#   time_to_packet    in the mode of measure_mode, sets FIRST_US: natively from the unbind of the device, which is
#                     bound again and brought up at once, under SIDE from the driver's death in transmit, to
#                     the first answer of the peer

TRAFFIC=/side/build/campaign/target/release/side-campaign

recovery_peer() {
	cp $TRAFFIC /tmp/traffic || return 1
	# Without the output of the test, whose reader would wait for its end.
	in_peer /tmp/traffic peer 10.9.0.2:7000 >/dev/null 2>/tmp/peer.errors &
	sleep 1
	pgrep -f "^/tmp/traffic peer" >/dev/null || { echo "the peer's program has ended: $(cat /tmp/peer.errors)"; return 1; }
}

recovery_peer_end() { pkill -f "^/tmp/traffic peer"; }

# now_us: sets NOW.
now_us() { NOW=${EPOCHREALTIME/./}; }

time_to_packet() {
	local address begin before words
	address=$(pci_of 0x8086:0x10d3)
	case $mode in
	native)
		now_us
		begin=$NOW
		echo "$address" >/sys/bus/pci/drivers/e1000e/unbind
		echo "$address" >/sys/bus/pci/drivers/e1000e/bind || return 1
		NIC=$(basename "/sys/bus/pci/devices/$address/net/"*)
		busybox ifconfig "$NIC" 10.9.0.1 netmask 255.255.255.0 up || return 1
		;;
	*)
		echo "failures 0 delay 0" >$SIDE/e1000e/policy
		read -r before <$SIDE/e1000e/recoveries
		# The next packet, which is the first of what follows.
		echo ndo_start_xmit >$SIDE/e1000e/inject || return 1
		now_us
		begin=$NOW
		;;
	esac
	/tmp/traffic drive 10.9.0.2:7000 0 /nothing >/tmp/driven
	now_us
	FIRST_US=$((NOW - begin))
	read -r words </tmp/driven
	case $words in *received=0*) echo "no answer: $words"; return 1 ;; esac
	[ "$mode" = native ] || [ "$(cat $SIDE/e1000e/recoveries)" -gt "$before" ] || { echo "no death"; return 1; }
	# What is left of the recovery is no part of the next round.
	sleep 1
}
