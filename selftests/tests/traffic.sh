#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The packaged e1000e under SIDE carries traffic as any interface does. MODE: base or optimised.
# timeout: 800
# again: a host that stalls can lose datagrams and delay answers
# vm: --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap
MEGABYTES=${MEGABYTES:-64}
MODE=${MODE:-base}

check "side loads with the packaged e1000e" side_load
check "the driver is listed as running" grep -qx running $SIDE/e1000e/state
peer_up
check "the interface comes up with carrier" test_interface_up
NIC=$(interface_of "$(pci_of 0x8086:0x10d3)")
check "the mode is $MODE" bash -c "echo $MODE >$SIDE/e1000e/mode && grep -qx $MODE $SIDE/e1000e/mode"
check "the MAC address is the card's" grep -q "^52:54:00" "/sys/class/net/$NIC/address"

ping_sizes() {
	for size in 18 32 100 472 1000 1472; do
		ping_all -c "$1" -i 0.005 -s $size 10.9.0.2 || return 1
	done
}
check "1,000 pings from 60 to 1,514 bytes, none lost" ping_sizes 167
check "TCP to the peer, ${MEGABYTES} MB, same checksum" send_file ${MEGABYTES}000000 there
check "TCP from the peer, ${MEGABYTES} MB, same checksum" send_file ${MEGABYTES}000000 here
# flows FLOWS BLOCKS: TCP connections at once, BLOCKS of 64 KB each way on each.
flows() {
	in_peer python3 -B /side/selftests/flows.py serve 10.9.0.2 "$1" "$2" &
	local server=$!
	python3 -B /side/selftests/flows.py call 10.9.0.2 "$1" "$2" && wait $server
}
check "TCP: 32 flows at once, 4 MB each way, each byte as it was sent" flows 32 2
check "IPv6: ping" ping_all -c 20 -i 0.01 fd09::2
check "IPv6: TCP, 4 MB" send_file 4000000 there fd09::2

check "UDP to the peer, 250 datagrams, all in order" udp_all there 250 1200
check "UDP from the peer, 250 datagrams, all in order" udp_all here 250 1200

vlan() {
	ip link add link "$NIC" name "$NIC.7" type vlan id 7 && ip addr add 10.7.0.1/24 dev "$NIC.7" &&
	ip link set "$NIC.7" up && in_peer ip link add link "$PEER" name v7 type vlan id 7 &&
	in_peer ip addr add 10.7.0.2/24 dev v7 && in_peer ip link set v7 up &&
	ping_all -c 10 -i 0.01 10.7.0.2 && ip link del "$NIC.7" && in_peer ip link del v7
}
check "VLAN" vlan

multicast() {
	ip maddr add 01:00:5e:01:02:03 dev "$NIC" && ip maddr show dev "$NIC" | grep -q 01:00:5e:01:02:03 &&
	ip maddr del 01:00:5e:01:02:03 dev "$NIC"
}
check "multicast join and leave" multicast

# A datagram to a group arrives once a program has joined it.
multicast_received() {
	rm -f /tmp/group
	timeout 30 socat -u UDP4-RECV:6000,ip-add-membership=239.1.2.3:10.9.0.1 OPEN:/tmp/group,creat &
	local receiver=$! n
	for n in $(seq 100); do
		echo "to the group" | in_peer socat -u - UDP4-DATAGRAM:239.1.2.3:6000,ip-multicast-if=10.9.0.2
		grep -qs "to the group" /tmp/group && break
		sleep 0.1
	done
	kill $receiver
	ip maddr show dev "$NIC" | grep -q 239.1.2.3 || echo "left"
	grep -q "to the group" /tmp/group
}
check "multicast received" multicast_received

# carrier_is VALUE
carrier_is() {
	local n
	for n in $(seq 200); do
		[ "$(cat "/sys/class/net/$NIC/carrier")" = "$1" ] && return 0
		sleep 0.1
	done
	return 1
}
cable() {
	vm-monitor set_link nic0 off && carrier_is 0 && vm-monitor set_link nic0 on && carrier_is 1 &&
	ping_all -c 5 -i 0.05 10.9.0.2
}
check "the cable is pulled and plugged in again: noticed both times" cable

promiscuous() {
	ip link set "$NIC" promisc on
	timeout 60 tcpdump -n -i "$NIC" -c 1 ether dst 02:00:00:00:00:99 >/tmp/dump 2>&1 &
	local dump=$!
	in_peer ip neigh replace 10.9.0.77 lladdr 02:00:00:00:00:99 dev "$PEER"
	while kill -0 $dump 2>/dev/null; do
		in_peer ping -c 1 -W 1 10.9.0.77 >/dev/null
	done
	wait $dump
	local status=$?
	ip link set "$NIC" promisc off
	return $status
}
check "promiscuous capture sees a stranger's frame" promiscuous

mac_change() {
	local old
	old=$(cat "/sys/class/net/$NIC/address")
	ip link set "$NIC" address 02:11:22:33:44:55 && in_peer ip neigh flush all &&
	ping_all -c 5 -i 0.05 10.9.0.2 && ip link set "$NIC" address "$old" && in_peer ip neigh flush all &&
	ping_all -c 5 -i 0.05 10.9.0.2
}
check "change of MAC address and back" mac_change

mtu() {
	ip link set "$NIC" mtu 9000 && in_peer ip link set "$PEER" mtu 9000 && wait_carrier "$NIC" &&
	ping_all -c 20 -i 0.02 -M "do" -s 8972 10.9.0.2 && send_file 4000000 here && send_file 4000000 there &&
	ip link set "$NIC" mtu 1500 && in_peer ip link set "$PEER" mtu 1500 && wait_carrier "$NIC" &&
	ping_all -c 5 -i 0.02 10.9.0.2
}
check "MTU 9000 and back" mtu

offload() {
	for state in off on; do
		ethtool -K "$NIC" tx $state rx $state tso $state sg $state gro $state || return 1
		wait_carrier "$NIC" && send_file 4000000 there && send_file 4000000 here || return 1
	done
}
check "checksum offload, SG, TSO and GRO off and on" offload

down_up() {
	for n in $(seq 5); do
		ip link set "$NIC" down && ip link set "$NIC" up && wait_carrier "$NIC" || return 1
	done
	ip addr replace 10.9.0.1/24 dev "$NIC"
	ping_all -c 5 -i 0.05 10.9.0.2
}
check "down and up five times" down_up
check "statistics count" test "$(cat "/sys/class/net/$NIC/statistics/rx_packets")" -gt 1000
check "no fault happened" grep -qx none $SIDE/e1000e/last_fault
echo "# crossings:"
sed 's/^/#   /' $SIDE/e1000e/crossings
check "rmmod" side_unload
check "the interface is gone" test ! -e "/sys/class/net/$NIC"
finish
