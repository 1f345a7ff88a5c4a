#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The packaged e1000e dies in many places, and its interface stays: name, addresses, settings,
# qdiscs, sockets.
# timeout: 800
# again: a host that stalls can outlast the time limits of recovery
# vm: --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
# RECOVERIES=N (default 10): deaths between the two looks at the memory.
. "$(dirname "$0")/../lib.sh"
ktap
D=$SIDE/e1000e
RECOVERIES=${RECOVERIES:-10}

check "side loads with the packaged e1000e" side_load
peer_up
check "the interface comes up" test_interface_up
NIC=$(interface_of "$(pci_of 0x8086:0x10d3)")
ADDRESS=$(pci_of 0x8086:0x10d3)
echo "failures 0 delay 0" >$D/policy

# dies PLACE COMMAND...: the command makes the driver come to PLACE, where it dies; then all is well.
dies() {
	local place=$1 before
	shift
	before=$(cat $D/recoveries)
	echo "$place" >$D/inject || return 1
	"$@" >/dev/null 2>&1
	recovered $((before + 1)) && grep -q "^injected" $D/last_fault && reaches_peer
}

# What users see of the interface.
settings() {
	ip -d -o link show dev "$NIC" | sed 's/ promiscuity.*gso_max_size/ gso_max_size/'
	ip -o addr show dev "$NIC" | grep -v fe80
	ip maddr show dev "$NIC" | grep -E "link|inet" | sort
	ip -o link show type vlan
	ip route show dev "$NIC"
	tc qdisc show dev "$NIC"
	cat "/sys/class/net/$NIC/ifindex"
	ethtool -k "$NIC"
	ethtool -g "$NIC"
	ethtool -c "$NIC"
	ethtool -a "$NIC"
	ethtool "$NIC" | grep -E "Wake|msg|message|Auto-neg|Advertised"
	ethtool -T "$NIC" | grep -E "Clock|index"
}

set_all() {
	ip link set "$NIC" mtu 1400 && ip link set "$NIC" address 02:11:22:33:44:55 &&
		ethtool -G "$NIC" rx 512 tx 1024 && ethtool -K "$NIC" tso off &&
		ethtool -C "$NIC" rx-usecs 50 && ethtool -s "$NIC" msglvl 5 &&
		ip link add link "$NIC" name "$NIC.7" type vlan id 7 && ip link set "$NIC.7" up &&
		ip addr add 10.7.0.1/24 dev "$NIC.7" && tc qdisc replace dev "$NIC" root handle 77: pfifo limit 500 &&
		in_peer ip link add link "$PEER" name v7 type vlan id 7 && in_peer ip addr add 10.7.0.2/24 dev v7 &&
		in_peer ip link set v7 up && ip maddr add 01:00:5e:01:02:03 dev "$NIC" &&
		ip addr add 10.9.0.9/24 dev "$NIC" && in_peer ip neigh flush all &&
		wait_carrier "$NIC" && reaches_peer
}
check "settings of all kinds are made" set_all
settings >/tmp/before

ip monitor link address route >/tmp/monitor 2>&1 &
MONITOR=$!
for place in ndo_start_xmit poll irq dma_map_page_attrs napi_complete_done; do
	check "death in $place under traffic" dies $place ping -q -c 5 -i 0.2 -W 1 10.9.0.2
done
check "death in a timer" dies timer sleep 3
check "death in a work function" dies work sleep 3
check "death in ethtool" dies get_ringparam ethtool -g "$NIC"
check "death in statistics" dies ndo_get_stats64 ip -s link show dev "$NIC"
# A reset under RTNL that the stack holds, with the driver's own reset bit taken.
check "death in the middle of a reset under RTNL" dies netif_carrier_off ethtool -r "$NIC"

both_cpus() {
	taskset -c 1 ping -q -f -c 300 -W 1 10.9.0.2 >/dev/null &
	local flood=$!
	taskset -c 0 ethtool -d "$NIC" >/dev/null
	taskset -c 0 ethtool -i "$NIC" >/dev/null
	wait $flood
}
check "death on one CPU while the other is in the driver" dies get_drvinfo both_cpus
kill $MONITOR
settings >/tmp/after
check "all settings are as before" diff /tmp/before /tmp/after
no_removal() {
	! grep -E "Deleted|NO-CARRIER|state DOWN" /tmp/monitor
}
check "ip monitor saw no removal and no loss of carrier" no_removal
check "the VLAN passes packets" ping -q -c 3 -i 0.2 10.7.0.2
tx_packets() { cat "/sys/class/net/$NIC/statistics/tx_packets"; }
statistics() {
	local before after
	before=$(tx_packets)
	echo 1 >$D/restart && after=$(tx_packets) && echo "$before $after" && [ "$after" -ge "$before" ] && [ "$before" -gt 0 ]
}
check "statistics do not go backwards" statistics

open_dies() {
	ip link set "$NIC" down
	dies ndo_open ip link set "$NIC" up
	local status=$?
	ip addr replace 10.9.0.1/24 dev "$NIC"
	return $status
}
check "death in open: the interface comes up all the same" open_dies

# A restart that itself dies is tried again.
probe_dies() {
	local before
	before=$(cat $D/recoveries)
	echo probe >$D/inject && echo 1 >$D/restart && recovered $((before + 1)) &&
		grep -q "injected upcall=probe" $D/last_fault && reaches_peer
}
check "death in probe on the way back: tried again" probe_dies

# TCP through deaths.
tcp() {
	local n before place sink stream
	rm -f /tmp/enough /tmp/stream
	in_peer socat -u TCP4-LISTEN:5002,reuseaddr OPEN:/tmp/stream,creat,trunc &
	sink=$!
	sleep 1
	(while [ ! -e /tmp/enough ]; do head -c 20000 /dev/urandom; sleep 0.05; done | tee /tmp/streamed) |
		socat -u - TCP4:10.9.0.2:5002 &
	stream=$!
	for n in $(seq 20); do
		before=$(cat $D/recoveries)
		case $((n % 3)) in 0) place=ndo_start_xmit ;; 1) place=poll ;; *) place=irq ;; esac
		echo "$place $n" >$D/inject
		recovered $((before + 1)) || return 1
	done
	touch /tmp/enough
	wait $stream && wait $sink || return 1
	ls -l /tmp/streamed /tmp/stream
	[ -s /tmp/stream ] && cmp /tmp/streamed /tmp/stream
}
check "a TCP stream through 20 deaths is whole" tcp

# Packets that the card had in its ring are sent again, in their order. They all wait for one interrupt: its handler
# and the sender are on one CPU, which sends the whole burst before it.
in_order() {
	local n before receiver status line
	while read -r line; do
		n=${line%%:*}
		echo 1 >"/proc/irq/${n// /}/smp_affinity"
	done < <(grep -E "side-e1000e|$NIC" /proc/interrupts)
	for n in $(seq 6); do
		before=$(cat $D/recoveries)
		# Buffers that were freed in a row are taken in the opposite order: the table's is none of them.
		taskset -c 0 python3 -B /side/selftests/udp.py burst 10.9.0.2 40 400
		sleep 0.5
		in_peer python3 -B /side/selftests/udp.py resent 10.9.0.2 40 &
		receiver=$!
		listening u 5202 in_peer
		taskset -c 0 python3 -B /side/selftests/udp.py dying 10.9.0.2 40 400
		recovered $((before + 1)) || return 1
		python3 -B /side/selftests/udp.py last 10.9.0.2 40
		wait $receiver
		status=$?
		# The driver has interrupts of its own, and then dies with less to send.
		[ $status = 2 ] || return $status
	done
	return 1
}
check "packets that are sent again are sent in their order" in_order

# Live upgrade.
upgrade() {
	local before
	before=$(cat $D/recoveries)
	cp "$E1000E" /tmp/new.ko.xz && echo /tmp/new.ko.xz >$D/restart && recovered $((before + 1)) && reaches_peer
}
check "live upgrade from another file" upgrade
bad_upgrade() {
	local before
	before=$(cat $D/recoveries)
	xz -dc "$E1000E" | head -c 100000 >/tmp/bad.ko
	! echo /tmp/bad.ko >$D/restart || return 1
	! echo /tmp/none.ko >$D/restart || return 1
	! echo "$MODULES/drivers/net/ethernet/intel/e1000/e1000.ko.xz" >$D/restart || return 1
	[ "$(cat $D/recoveries)" = "$before" ] && grep -qx running $D/state && reaches_peer
}
check "a bad file leaves the old driver running" bad_upgrade

# While the dead driver is being replaced there is nothing to switch; the next one begins in the mode that was asked for.
switched() {
	local before n
	# The first death after a restart that was asked for is not waited after.
	dies ndo_start_xmit ping -q -c 2 -i 0.2 -W 1 10.9.0.2 || return 1
	before=$(cat $D/recoveries)
	echo "failures 0 delay 3000 max 3000" >$D/policy && echo ndo_start_xmit >$D/inject || return 1
	ping -q -c 2 -i 0.2 -W 1 10.9.0.2 >/dev/null
	for n in $(seq 100); do
		grep -qx recovering $D/state && break
		sleep 0.02
	done
	echo optimised >$D/mode && grep -qx recovering $D/state && recovered $((before + 1)) || return 1
	grep -qx optimised $D/mode && reaches_peer && send_file 200000 there &&
		echo base >$D/mode && reaches_peer && send_file 200000 here
}
check "a mode that is switched in an outage holds in the next life" switched
echo "failures 0 delay 0" >$D/policy

# Policy.
index=$(cat "/sys/class/net/$NIC/ifindex")
gives_up() {
	local n
	echo "failures 2 delay 10" >$D/policy && echo 1 >$D/restart || return 1
	dies ndo_start_xmit ping -q -c 3 -i 0.2 -W 1 10.9.0.2 || return 1
	echo ndo_start_xmit >$D/inject
	ping -q -c 3 -i 0.2 -W 1 10.9.0.2 >/dev/null
	for n in $(seq 100); do
		grep -qx failed $D/state && break
		sleep 0.1
	done
	cat $D/ledger
	# Coherent memory waits in quarantine until the card has a driver again.
	[ -z "$(awk '$1 != "kmalloc" && $1 != "dma_alloc_attrs" && $2 != 0' $D/ledger)" ] || return 1
	grep -qx failed $D/state && [ "$(cat "/sys/class/net/$NIC/carrier")" = 0 ] &&
		[ "$(cat "/sys/class/net/$NIC/ifindex")" = "$index" ]
}
check "the second of two deaths leaves the driver down, the interface there" gives_up
revives() {
	echo 1 >$D/restart && wait_carrier "$NIC" && reaches_peer
}
check "one write brings it back" revives
bad_policy() {
	! echo "failures 99" >$D/policy 2>/dev/null && ! echo junk >$D/policy 2>/dev/null && grep -q "failures 2" $D/policy
}
check "a bad policy is refused" bad_policy
echo "failures 0 delay 0" >$D/policy

# Death in the probe of a device that a user binds: the bind fails, the driver is restarted, and a
# second bind works.
bind_dies() {
	local before
	echo "$ADDRESS" >/sys/bus/pci/drivers/side-e1000e/unbind
	before=$(cat $D/recoveries)
	echo probe >$D/inject
	echo "$ADDRESS" >/sys/bus/pci/drivers/side-e1000e/bind 2>/dev/null
	for _ in $(seq 100); do
		[ "$(cat $D/recoveries)" -gt "$before" ] && grep -qx running $D/state && break
		sleep 0.1
	done
	echo "$ADDRESS" >/sys/bus/pci/drivers/side-e1000e/bind && test_interface_up && reaches_peer
}
check "death in the probe of a bind" bind_dies

# Watchdogs: each bound, made tight, ends the domain by its rule; made wide again it lets it come back.
exceeds() {
	local bound=$1 rule=$2 before old n
	shift 2
	before=$(cat $D/recoveries)
	old=$(grep "^${bound% *} " $D/watchdogs)
	echo "$bound" >$D/watchdogs || return 1
	"$@" >/dev/null 2>&1
	for n in $(seq 100); do
		grep -q "^$rule" $D/last_fault && break
		sleep 0.1
	done
	echo "$old" >$D/watchdogs
	cat $D/last_fault $D/ledger
	grep -q "^$rule" $D/last_fault && recovered $((before + 1)) && reaches_peer
}
check "the ledger names the interface" grep -qx "alloc_etherdev_mqs 1 net_device" $D/ledger
check "an interrupt storm" exceeds "irqs 5" interrupt-storm ping -q -f -c 100 10.9.0.2
check "a leak of memory" exceeds "heap 1" heap-leak true
check "a leak of packet buffers" exceeds "packets 1" packet-leak true
check "a leak of DMA mappings" exceeds "mappings 1" mapping-leak true
check "a leak of timers" exceeds "timers 1" timer-leak true
bad_watchdogs() {
	! echo "heap" >$D/watchdogs 2>/dev/null && ! echo "foo 1" >$D/watchdogs 2>/dev/null
}
check "a bad bound is refused" bad_watchdogs

many() {
	local n before
	for n in $(seq "$1"); do
		echo 1 >$D/restart || return 1
	done
}
check "some restarts" many 3
first=$(kernel_memory)
check "$RECOVERIES restarts" many "$RECOVERIES"
last=$(kernel_memory)
echo "# kernel memory: $first KiB, after $RECOVERIES restarts $last KiB"
# A domain holds more than 1 MiB: one that stays would show.
check "no growth" test $((last - first)) -lt 1024
check "the peer still answers" reaches_peer
echo "# from the last death to packets: $(cat $D/outage_us) us"
check "rmmod" side_unload
check "the interface is gone" test ! -e "/sys/class/net/$NIC"

# The same for the driver in the kernel: unbind, bind, up.
native() {
	modprobe e1000e && NIC=$(interface_of "$ADDRESS") && ip link set "$NIC" up && wait_carrier "$NIC" &&
		ip addr add 10.9.0.1/24 dev "$NIC" && reaches_peer || return 1
	local begin end
	begin=$(date +%s%N)
	echo "$ADDRESS" >/sys/bus/pci/drivers/e1000e/unbind && echo "$ADDRESS" >/sys/bus/pci/drivers/e1000e/bind &&
		NIC=$(interface_of "$ADDRESS") && ip link set "$NIC" up && wait_carrier "$NIC" 20 || return 1
	end=$(date +%s%N)
	NATIVE=$(((end - begin) / 1000))
}
native
echo "# natively, unbind, bind and up: ${NATIVE:-?} us"
finish
