#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In the guest: throughput and latency by wall clock, the modes in rotation, so that what else the
# host does hits them alike. Only ratios within a round mean anything under emulation.
#
# usage: wall.sh PART FROM ROUNDS SECONDS MODE...
#   PART   stream   iperf3 TCP and UDP, both ways, and pktgen, as fast as it goes
#          rate     the same by iperf3 with both directions shaped to $RATE at the peer
#          rr       netperf TCP_RR and UDP_RR
#          http     nginx behind the card under test, wrk with 64 connections at the peer
#          scaling  iperf3 TCP with 1, 4, 16 and 64 flows, both ways
#   FROM   the first round (an interrupted run goes on there), ROUNDS the last
# prints "RESULT {...}" and "ROUND N" lines for scripts/bench, "SKIP ..." for what is not there
set -u
. /side/selftests/lib.sh
. /side/selftests/measure/lib.sh
part=$1 from=$2 rounds=$3 seconds=$4
shift 4
modes=("$@")
RATE=${RATE:-20mbit}

# Busy and all time of the CPUs, in ticks since boot.
cpu_now() { awk '/^cpu / { for (i = 2; i <= 9; i++) all += $i; print all - $5 - $6, all }' /proc/stat; }

# result METRIC VALUE UNIT BUSY_BEFORE ALL_BEFORE
result() {
	local busy all
	read -r busy all <<<"$(cpu_now)"
	printf 'RESULT {"part": "%s", "metric": "%s", "mode": "%s", "round": %d, "value": %s, "unit": "%s", "cpu": %s}\n' \
		"$part" "$1" "$mode" "$round" "$2" "$3" \
		"$(awk -v b=$((busy - $4)) -v a=$((all - $5)) 'BEGIN { printf "%.3f", a ? b / a : 0 }')"
}

# iperf NAME ARGUMENT...: received bits a second of one run against the peer. A server that has not
# ended the run before yet says that it is busy. What iperf3 warns of (datagrams longer than TCP's
# segments) goes to another file than its report.
iperf() {
	local name=$1 value before try
	shift
	for try in 1 2 3 4 5; do
		before=$(cpu_now)
		# shellcheck disable=SC2086 # two numbers
		if value=$(timeout $((seconds + 60)) iperf3 -c 10.9.0.2 -t "$seconds" -J "$@" 2>/tmp/iperf.err |
			python3 -B /side/bench/iperf.py); then
			result "$name" "$value" bit/s $before
			return
		fi
		echo "# iperf3 $name, try $try: $value $(head -n 3 /tmp/iperf.err)"
		sleep 3
		# A server that lost its client in the middle of many flows may be gone.
		pgrep -x iperf3 >/dev/null || in_peer iperf3 -s -D >/dev/null
	done
	exit 1
}

iperf_all() {
	iperf "${1}tcp-tx"
	iperf "${1}tcp-rx" -R
	iperf "${1}udp-tx" -u -b "${2:-0}" -l 1472
	iperf "${1}udp-rx" -u -b "${2:-0}" -l 1472 -R
}

pktgen_rate() {
	local before count=5000 value
	pktgen_configure "$NIC" "$1" $count $NOBODY 10.9.0.2 10.9.0.1 || exit 1
	before=$(cpu_now)
	echo start >/proc/net/pktgen/pgctrl
	value=$(sed -n 's/^ *\([0-9]*\)pps .*/\1/p' "/proc/net/pktgen/$NIC")
	# shellcheck disable=SC2086
	result "pktgen-tx-$1" "$value" packet/s $before
}

transactions() {
	local before value
	before=$(cpu_now)
	value=$(netperf -H 10.9.0.2 -t "$1" -l "$seconds" -P 0 -- -o THROUGHPUT | tail -n 1)
	[ -n "$value" ] || { echo "netperf $1 failed"; exit 1; }
	# shellcheck disable=SC2086
	result "$1" "$value" transaction/s $before
}

http() {
	local before output
	before=$(cpu_now)
	output=$(in_peer wrk -t 1 -c 64 -d "${seconds}s" --latency http://10.9.0.1/page)
	grep -q "Non-2xx\|Socket errors" <<<"$output" && echo "# $(grep "Non-2xx\|Socket errors" <<<"$output")"
	# shellcheck disable=SC2086
	result http-requests "$(awk '/^Requests\/sec/ { print $2 }' <<<"$output")" request/s $before
	# shellcheck disable=SC2086
	result http-p99 "$(awk '$1 == "99%" { v = $2; f = 1000; if (v ~ /us$/) f = 1; if (v ~ /[0-9]s$/) f = 1e6; sub(/[a-z]+$/, "", v); print v * f }' <<<"$output")" us $before
}

start_servers() {
	in_peer iperf3 -s -D >/dev/null
	case $part in
	rr) in_peer netserver -L 10.9.0.2 -4 >/dev/null ;;
	rate)
		# What the peer sends is shaped at its card, what it receives behind a device that queues it.
		modprobe ifb numifbs=0
		in_peer ip link add shaper type ifb && in_peer ip link set shaper up &&
		in_peer tc qdisc add dev "$PEER" root tbf rate "$RATE" burst 16k limit 64k &&
		in_peer tc qdisc add dev "$PEER" ingress &&
		in_peer tc filter add dev "$PEER" ingress matchall action mirred egress redirect dev shaper &&
		in_peer tc qdisc add dev shaper root tbf rate "$RATE" burst 16k limit 64k || exit 1
		;;
	http)
		mkdir -p /tmp/www && head -c 1024 /dev/zero | tr '\0' x >/tmp/www/page
		cat >/tmp/nginx.conf <<-END
		worker_processes 1; error_log /tmp/nginx.error; pid /tmp/nginx.pid; user root;
		events { worker_connections 512; }
		http { access_log off; keepalive_requests 1000000; open_file_cache max=8;
		server { listen 80; root /tmp/www; } }
		END
		mkdir -p /var/lib/nginx /var/log/nginx
		nginx -c /tmp/nginx.conf || exit 1
		;;
	esac
}

measure_peer || exit 1
start_servers
sleep 1
missing=" "
for round in $(seq "$from" "$rounds"); do
	for turn in "${!modes[@]}"; do
		wanted=${modes[$(((turn + round) % ${#modes[@]}))]}
		[ "${missing#* "$wanted" }" = "$missing" ] || continue
		measure_mode "$wanted"
		case $? in
		0) ;;
		4) echo "SKIP mode $wanted: this version of SIDE does not have it"; missing+="$wanted "; continue ;;
		*) exit 1 ;;
		esac
		case $part in
		stream) iperf_all ""; pktgen_rate 60; pktgen_rate 1500 ;;
		rate) iperf_all "" "$(sed 's/mbit$/M/' <<<"$RATE")" ;;
		rr) transactions TCP_RR; transactions UDP_RR ;;
		http) http ;;
		scaling)
			# With buffers as large as TCP makes them, 64 flows have more under way than the card sends in 10 s.
			for flows in 1 4 16 64; do
				iperf "tcp-tx-$flows" -w 128K -P $flows
				iperf "tcp-rx-$flows" -w 128K -P $flows -R
			done
			;;
		*) echo "wall.sh: no part $part"; exit 1 ;;
		esac
	done
	echo "ROUND $round"
done
measure_unload
echo DONE
