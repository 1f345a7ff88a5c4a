#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In the guest, on a machine whose time counts instructions: the price of a packet with several instances of the
# packaged driver at work at the same time, each with a card, a peer and a hub of its own, and the memory of each.
# Under SIDE each instance is in a domain of its own. In the native mode they are one module with several devices.
#
# usage: domains.sh PACKETS REPEATS MODE...
# prints "RESULT {...}" lines for scripts/bench. PACKETS are sent by each instance.
set -u
. /side/selftests/lib.sh
. /side/selftests/measure/lib.sh
packets=$1 repeats=$2
shift 2
COUNTS="1 2 4"
CARD=0x8086:0x10d3 PEER_CARD=0x8086:0x100e
nics=() peers=() names=()

# The peers, in one network namespace: 10.9.K.2 is the peer of the Kth card, which is 10.9.K.1.
peers_up() {
	local k
	cp "$LOAD" /tmp/load && LOAD=/tmp/load || return 1
	quiet_stack
	modprobe pktgen && modprobe e1000 || return 1
	ip netns add peer
	for k in 1 2 3 4; do
		peers[k]=$(interface_of "$(pci_of $PEER_CARD $k)") || return 1
		ip link set "${peers[k]}" netns peer
		in_peer ip link set "${peers[k]}" up
		in_peer ip addr add "10.9.$k.2/24" dev "${peers[k]}"
	done
	in_peer sysctl -qw net.ipv6.conf.all.disable_ipv6=1
}

# card_up K: the Kth card under test, in the mode that is being measured, with its peer known.
card_up() {
	local k=$1 address try
	address=$(pci_of $CARD "$k") || return 1
	if [ "$mode" != native ]; then
		names[k]=card$k
		echo "as=card$k device=$address $E1000E" >$SIDE/load || return 1
		echo "$mode" >"$SIDE/card$k/mode" || return 1
	fi
	nics[k]=$(interface_of "$address") || return 1
	ip link set "${nics[k]}" up && ip addr replace "10.9.$k.1/24" dev "${nics[k]}" && wait_carrier "${nics[k]}" ||
		return 1
	ethtool -K "${nics[k]}" tso off gso off >/dev/null 2>&1
	ip neigh replace "10.9.$k.2" lladdr "$(in_peer cat "/sys/class/net/${peers[k]}/address")" dev "${nics[k]}" nud permanent
	in_peer ip neigh replace "10.9.$k.1" lladdr "$(cat "/sys/class/net/${nics[k]}/address")" dev "${peers[k]}" nud permanent
	for try in $(seq 50); do
		ping -q -c 1 -W 1 "10.9.$k.2" >/dev/null && return 0
		sleep 0.1
	done
	echo "domains: the peer of card $k does not answer"
	return 1
}

cards_down() {
	if [ "$mode" = native ]; then modprobe -r e1000e; else rmmod side; fi
	nics=() names=()
}

# What all instances have crossed.
crossings_now() {
	local k
	for k in "${!names[@]}"; do cat "$SIDE/${names[k]}/crossings"; done |
		awk '{ n[$1 " " $2] += $3 } END { for (name in n) print name, n[name] }'
}

received_now() {
	local k total=0
	for k in "${!nics[@]}"; do total=$((total + $(cat "/sys/class/net/${nics[k]}/statistics/rx_packets"))); done
	echo $total
}

# In the namespace of the devices. A delay that is always over makes pktgen's thread take its devices in
# turn; without one it would finish the first before the second.
several_configure() {
	local one line device destination address frame=$1 count=$2
	shift 2
	echo rem_device_all >/proc/net/pktgen/kpktgend_0
	for one; do
		read -r device destination address <<<"$one"
		echo "add_device $device" >/proc/net/pktgen/kpktgend_0 || return 1
		for line in "count $count" "pkt_size $frame" "clone_skb 0" "delay 1000" "dst_mac $destination" \
			"dst $address.99" "src_min $address.3" "src_max $address.3" "udp_dst_min 9" "udp_dst_max 9" \
			"udp_src_min 9" "udp_src_max 9"; do
			echo "$line" >"/proc/net/pktgen/$device" || return 1
		done
	done
	echo start >/proc/net/pktgen/pgctrl
}
export -f several_configure

# several_pktgen KIND FRAME COUNT: "NS SHARE": from the first packet of all devices to the last one, and the
# percentage of that time in which all of them were sending.
several_pktgen() {
	local k run="" lines=() devices=() destination
	[ "$1" = pktgen-tx ] || run=in_peer
	for k in "${!nics[@]}"; do
		if [ "$1" = pktgen-tx ]; then
			devices+=("${nics[k]}") destination=$NOBODY
		else
			devices+=("${peers[k]}") destination=$(cat "/sys/class/net/${nics[k]}/address")
		fi
		lines+=("${devices[-1]} $destination 10.9.$k")
	done
	$run bash -c 'several_configure "$@"' configure "$2" "$3" "${lines[@]}" || return 1
	for k in "${devices[@]}"; do $run cat "/proc/net/pktgen/$k"; done | awk -v wanted="$3" -v devices=${#devices[@]} '
		$1 == "pkts-sofar:" && $2 == wanted { whole++ }
		$1 == "started:" { b = $2 + 0; e = $4 + 0
			if (!seen++ || b < first) first = b
			if (b > last_begin) last_begin = b
			if (seen == 1 || e < first_end) first_end = e
			if (e > last) last = e }
		END { if (whole != devices || seen != devices) exit 1
			printf "%d %d\n", (last - first) * 1000, (first_end - last_begin) * 100 / (last - first) }'
}

# taken WORKLOAD FRAME COUNT: one figure; prints its RESULT line.
taken() {
	local workload=$1 frame=$2 count=$3 n=${#nics[@]} messages=$3 size=$(($2 - 42)) total warm
	local before after received elapsed soaked=0 arrived together status=0 first output
	case $workload in
	tcp-*) size=65536 messages=$(((count * 1448 + 65535) / 65536)) ;;
	esac
	warm=$(((messages + 9) / 10))
	total=$messages
	case $workload in tcp-*) total=$(((messages * size + 1447) / 1448)) ;; esac
	total=$((total * n))
	before=$(crossings_now)
	case $workload in
	pktgen-tx | flood-rx)
		several_pktgen "$workload" "$frame" $warm >/dev/null || return 1
		received=$(received_now)
		before=$(crossings_now)
		read -r elapsed together < <(several_pktgen "$workload" "$frame" "$count")
		[ -n "${together:-}" ] || { echo "domains: pktgen did not send everything"; return 1; }
		arrived=$total warm=0
		if [ "$workload" = flood-rx ]; then arrived=$(($(received_now) - received)); fi
		;;
	*)
		output=$("$LOAD" "$workload" $size "$messages" warm=$warm flows="$n") || status=$?
		[ $status = 0 ] || [ $status = 3 ] || { echo "domains: $workload failed: $output"; return 1; }
		read -r _ elapsed _ soaked _ arrived _ first <<<"$output"
		together=$((first * 100 / elapsed))
		arrived=$((arrived * total / messages / n))
		;;
	esac
	after=$(crossings_now)
	# The counters of crossings span the warm-up of the program too.
	printf 'RESULT {"part": "domains", "workload": "%s", "frame": %d, "mode": "%s", "active": %d, "packets": %d, "lost": %d, "instructions": %d, "idle": %d, "together": %d, "crossings_packets": %d, "crossings": {%s}, "repeat": %d}\n' \
		"$workload" "$frame" "$mode" "$n" "$total" $((total - arrived)) $((elapsed - soaked)) "$soaked" "$together" \
		$((total * (messages + warm) / messages)) "$(crossings_between "$before" "$after")" "$4"
}

memory_of_domains() {
	local k
	for k in "${!names[@]}"; do
		printf 'RESULT {"part": "domains", "mode": "%s", "active": %d, "domain": "%s", "memory": {%s}}\n' "$mode" \
			${#nics[@]} "${names[k]}" "$(awk '{ printf "%s\"%s\": %d", comma, $1, $2; comma = ", " }' "$SIDE/${names[k]}/memory")"
	done
}

peers_up || exit 1
for mode; do
	case $mode in
	native) modprobe e1000e || exit 1 ;;
	*) insmod "$MODULE" || exit 1 ;;
	esac
	for active in $COUNTS; do
		while [ ${#nics[@]} -lt "$active" ]; do
			card_up $((${#nics[@]} + 1)) || exit 1
		done
		[ ${#nics[@]} = "$active" ] || exit 1
		# Buffers are mapped at their first use, which crosses: once around the rings.
		for load in tcp-rx tcp-tx; do taken $load 1514 600 0 >/tmp/warm || { cat /tmp/warm; exit 1; }; done
		for load in "pktgen-tx 60" "flood-rx 60" "udp-tx 1500" "tcp-tx 1514" "tcp-rx 1514"; do
			for repeat in $(seq "$repeats"); do
				# shellcheck disable=SC2086 # a name and a size
				taken $load "$packets" "$repeat" || exit 1
			done
		done
		memory_of_domains
	done
	for k in "${!names[@]}"; do
		grep -qx none "$SIDE/${names[k]}/last_fault" || { echo "domains: ${names[k]} had a fault"; exit 1; }
	done
	cards_down || exit 1
done
echo DONE
