# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# Sourced in the guest by what measures: `make bench` and the tests that gate on counts. The card
# under test is a NIC on a hub with a peer, an e1000 driven in the kernel in every mode, in a
# network namespace of this guest.
#
#   measure_peer                the peer, once a guest
#   measure_mode MODE           native, base or optimised: the card under test in that mode;
#                               status 4 when this version of SIDE does not have the mode
#   measure WORKLOAD FRAME COUNT    one figure by instruction count; sets `figure`, a JSON object
#   measure_workloads           names of workloads and their frame sizes, one a line
#
# Needs selftests/lib.sh sourced before, and build/measure/load (scripts/build measure).

LOAD=${LOAD:-/side/build/measure/load}
mode=none

# Only what is sent on purpose: no neighbour discovery, no IPv6 housekeeping.
quiet_stack() {
	sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
}

measure_peer() {
	# On tmpfs: a file of the root asks the host at each use, whose time is not the guest's.
	cp "$LOAD" /tmp/load && LOAD=/tmp/load || return 1
	quiet_stack
	modprobe pktgen || return 1
	peer_up && in_peer sysctl -qw net.ipv6.conf.all.disable_ipv6=1
}

measure_unload() {
	case $mode in
	native) modprobe -r e1000e ;;
	base | optimised) side_unload ;;
	esac
	mode=none
}

# side_mode MODE: switches a loaded driver between base and optimised; status 4 when it cannot.
side_mode() {
	[ "$(cat $SIDE/e1000e/mode)" = "$1" ] && return 0
	echo "$1" 2>/dev/null >$SIDE/e1000e/mode && [ "$(cat $SIDE/e1000e/mode)" = "$1" ] || return 4
}

measure_mode() {
	if [ "$1" = "$mode" ]; then return 0; fi
	measure_unload || return 1
	case $1 in
	native) modprobe e1000e || return 1 ;;
	base | optimised)
		side_load || return 1
		mode=base
		side_mode "$1" || return $?
		;;
	*) echo "measure: no mode $1"; return 1 ;;
	esac
	mode=$1
	NIC=$(interface_of "$(pci_of 0x8086:0x10d3)") || { echo "no interface"; return 1; }
	ip link set "$NIC" up && ip addr replace 10.9.0.1/24 dev "$NIC" && wait_carrier "$NIC" || return 1
	NIC_MAC=$(cat "/sys/class/net/$NIC/address")
	PEER_MAC=$(in_peer cat "/sys/class/net/$PEER/address")
	ip neigh replace 10.9.0.2 lladdr "$PEER_MAC" dev "$NIC" nud permanent
	in_peer ip neigh replace 10.9.0.1 lladdr "$NIC_MAC" dev "$PEER" nud permanent
	# A driver enables its receiver a moment after the link is up.
	local try
	for try in $(seq 50); do
		ping -q -c 1 -W 1 10.9.0.2 >/dev/null && return 0
		sleep 0.1
	done
	echo "measure: the peer does not answer"
	return 1
}

# A station that is not on the hub: the other card's filter drops frames for it, so nothing but
# the sender's part of the work is done.
NOBODY=02:00:00:00:00:99

# pktgen_configure DEVICE FRAME COUNT DESTINATION_MAC DESTINATION SOURCE: in the current namespace.
pktgen_configure() {
	local file=/proc/net/pktgen/$1 line
	echo rem_device_all >/proc/net/pktgen/kpktgend_0
	echo "add_device $1" >/proc/net/pktgen/kpktgend_0 || return 1
	for line in "count $3" "pkt_size $2" "clone_skb 0" "delay 0" "dst_mac $4" "dst $5" \
		"src_min $6" "src_max $6" "udp_dst_min 9" "udp_dst_max 9" "udp_src_min 9" "udp_src_max 9"; do
		echo "$line" >"$file" || return 1
	done
}

# For who looks into the window that is measured: called before and after the run.
window_open() { :; }
window_close() { :; }

# pktgen_run WORKLOAD COUNT [window]: nanoseconds from the first packet to the last, by pktgen's own account.
# It never waits between them, so on a machine of one CPU all of them are instructions for it.
pktgen_run() {
	local run="" device=$NIC said
	if [ "$1" != pktgen-tx ]; then run="in_peer" device=$PEER; fi
	[ -z "${3:-}" ] || window_open || return 1
	$run sh -c "echo count $2 >/proc/net/pktgen/$device && echo start >/proc/net/pktgen/pgctrl"
	[ -z "${3:-}" ] || window_close || return 1
	said=$($run cat "/proc/net/pktgen/$device")
	grep -q "pkts-sofar: $2 " <<<"$said" && said=$(sed -n 's/^Result: OK: \([0-9]*\)(.*/\1/p' <<<"$said") &&
		[ -n "$said" ] || { echo "measure: pktgen did not send $2 packets: $said" >&2; return 1; }
	echo $((said * 1000))
}

received_now() { cat "/sys/class/net/$NIC/statistics/rx_packets"; }

# "KIND NAME COUNT" for every counter of crossings; nothing in the native mode.
crossings_now() {
	[ "$mode" = native ] || cat $SIDE/e1000e/crossings
}

# crossings_between BEFORE AFTER: a JSON object of what grew, "KIND NAME": COUNT. Reading the
# counters makes no crossing.
crossings_between() {
	printf '%s\n---\n%s\n' "$1" "$2" | awk '$0 == "---" { second = 1; next }
	!second && NF == 3 { before[$1 " " $2] = $3 }
	second && NF == 3 { grown = $3 - before[$1 " " $2]
		if (grown > 0) { printf "%s\"%s %s\": %d", separator, $1, $2, grown; separator = ", " } }'
}

# What is measured, a line each: workload, frame sizes. A frame is counted from the destination
# address to the end of the payload, without the checksum that the card adds.
measure_workloads() {
	cat <<-END
	pktgen-tx 60 512 1500
	flood-rx 60 512 1500
	peer-tx 60 512 1500
	udp-tx 60 512 1500
	udp-rx 60 512 1500
	tcp-tx 1514
	tcp-rx 1514
	tcp-tx-tso 65536
	udp-rr 60
	tcp-rr 67
	END
}

# measure WORKLOAD FRAME COUNT:
#   pktgen-tx   for nobody: transmission alone
#   flood-rx    pktgen on the peer; the frames' IP address is not here, IP drops them
#   peer-tx     the peer's share of flood-rx: the same for nobody
#   udp-tx, udp-rx    datagrams between two programs; both ends are counted
#   tcp-tx, tcp-rx    64 KiB writes, segmented by the stack; tcp-tx-tso: by the card. COUNT is
#               in packets on the wire.
#   udp-rr, tcp-rr    transactions of one byte
measure() {
	local workload=$1 frame=$2 count=$3 kind=$1 size=$(($2 - 42)) messages=$3 packets=$3 warm=0
	local before after output status=0 elapsed soaked arrived received destination segments=1448
	figure=
	ethtool -K "$NIC" tso off gso off >/dev/null 2>&1
	case $workload in
	pktgen-tx)
		kind=pktgen
		pktgen_configure "$NIC" "$frame" "$count" $NOBODY 10.9.0.2 10.9.0.1 || return 1
		;;
	flood-rx | peer-tx)
		kind=pktgen
		destination=$NIC_MAC
		[ "$workload" = flood-rx ] || destination=$NOBODY
		export -f pktgen_configure
		in_peer bash -c "pktgen_configure $PEER $frame $count $destination 10.9.0.99 10.9.0.2" || return 1
		;;
	udp-tx | udp-rx | udp-rr) ;;
	tcp-rr) size=$((frame - 66)) ;;
	tcp-tx | tcp-rx | tcp-tx-tso)
		size=65536 messages=$(((count * segments + 65535) / 65536))
		packets=$(((messages * size + segments - 1) / segments))
		kind=${workload%-tso}
		if [ "$workload" = tcp-tx-tso ]; then ethtool -K "$NIC" tso on gso on >/dev/null; fi
		;;
	*) echo "measure: no workload $workload"; return 1 ;;
	esac
	warm=$(((messages + 9) / 10))
	received=$(received_now)
	before=$(crossings_now)
	if [ $kind = pktgen ]; then
		pktgen_run "$workload" $warm >/dev/null || return 1
		elapsed=$(pktgen_run "$workload" "$count" window) || return 1
		output="elapsed $elapsed soaked 0 messages $count"
	else
		window_open || return 1
		output=$("$LOAD" $kind $size "$messages" warm=$warm) || status=$?
		window_close || return 1
	fi
	after=$(crossings_now)
	received=$(($(received_now) - received))
	[ $status = 0 ] || [ $status = 3 ] || { echo "measure: $workload failed: $output"; return 1; }
	# shellcheck disable=SC2034 # the words between are names
	read -r _ elapsed _ soaked _ arrived <<<"$output"
	# pktgen knows nothing of what becomes of its frames: the card's own counter does.
	if [ "$workload" = flood-rx ] && [ "$received" -lt $((count + warm)) ]; then arrived=$((received - warm)); fi
	# The counters of crossings span the warm-up too.
	figure=$(printf '"workload": "%s", "frame": %d, "mode": "%s", "packets": %d, "lost": %d, "instructions": %d, "idle": %d, "crossings_packets": %d, "crossings": {%s}' \
		"$workload" "$frame" "$mode" $packets $((messages - arrived)) $((elapsed - soaked)) "$soaked" \
		$((packets * (messages + warm) / messages)) "$(crossings_between "$before" "$after")")
}
