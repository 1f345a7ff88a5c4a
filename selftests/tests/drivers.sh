#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The packaged drivers of the NICs that the emulator has, each on its card: loaded under SIDE the
# interface comes up, pings of several sizes and TCP both ways get through, ethtool answers, and
# unloading leaves nothing. The peer is an e1000e that its driver drives in the kernel, on the same
# hub. What the emulated card cannot do with the driver in the kernel either is skipped.
# again: a host that stalls can lose datagrams and delay answers
# vm: --smp 2 --nic e1000e,net=hub --nic rtl8139,net=hub --nic i82559er,net=hub --nic igb,net=hub --nic e1000,net=hub --nic tulip,net=hub --nic vmxnet3,net=hub --nic pcnet,net=hub --nic ne2k_pci,net=hub
# timeout: 2400
. "$(dirname "$0")/../lib.sh"
ktap

# MODULE PCI_ID [MTU]: the driver, its card, and the largest packet that is tried.
DRIVERS=${DRIVERS:-"8139cp:10ec:8139 8139too:10ec:8139 e100:8086:1209 igb:8086:10c9 igbvf:8086:10ca e1000:8086:100e tulip:1011:0019 vmxnet3:15ad:07b0 pcnet32:1022:2000 ne2k-pci:10ec:8029"}
BYTES=${BYTES:-2000000}

# Brings the card's interface up as NIC.
up() {
	NIC=$(interface_of "$ADDRESS") || { echo "no interface"; return 1; }
	ip link set "$NIC" up || return 1
	ip addr replace 10.9.0.1/24 dev "$NIC"
	# The emulated e1000e sends a short frame as it is, and the emulated pcnet and ne2k take none shorter than
	# Ethernet's 60 bytes: ARP would be lost.
	ip neigh replace 10.9.0.2 lladdr "$(in_peer cat "/sys/class/net/$PEER/address")" dev "$NIC" nud permanent
	in_peer ip neigh replace 10.9.0.1 lladdr "$(cat "/sys/class/net/$NIC/address")" dev "$PEER" nud permanent
	wait_carrier "$NIC" 20 || return 1
	# Some of the emulated cards lose what comes in the first moments after link-up.
	ping -c 5 -i 0.2 -W 2 10.9.0.2 >/dev/null 2>&1
	return 0
}

pings() {
	local size
	for size in 18 100 1000 1472; do
		ping_all -c 25 -i 0.02 -s $size 10.9.0.2 || return 1
	done
}

works_natively() {
	local status=1
	modprobe "$1" && up && pings && status=0
	modprobe -r "$1"
	return $status
}

answers() {
	ethtool -i "$NIC" >/tmp/info || return 1
	grep -qx "bus-info: $ADDRESS" /tmp/info || { cat /tmp/info; return 1; }
	[ "$(sed -n 's/^driver: //p' /tmp/info)" = "$DRIVER_NAME" ] || { cat /tmp/info; return 1; }
	# A driver without statistics of its own says so with an errno.
	ethtool -S "$NIC" >/tmp/statistics 2>&1 || grep -qi "no stats\|not supported" /tmp/statistics || {
		cat /tmp/statistics
		return 1
	}
	# The interface's own counters have seen the pings.
	[ "$(cat "/sys/class/net/$NIC/statistics/rx_packets")" -ge 100 ] || { ip -s link show "$NIC"; return 1; }
}

down_up() {
	ip link set "$NIC" down && up && pings
}

crossings() {
	local before after
	before=$(awk '{ n += $NF } END { print n }' "$SIDE/$DOMAIN/crossings")
	ping -q -c 50 -i 0.02 -W 5 -s 100 10.9.0.2 >/dev/null
	after=$(awk '{ n += $NF } END { print n }' "$SIDE/$DOMAIN/crossings")
	echo "# $DOMAIN: $(((after - before) / 50)) crossings a ping"
}

# virtual_function DRIVER PCI_ID: makes one of the card's, with an address that is not changed at each start.
virtual_function() {
	local card
	card=$(pci_of "$2") && modprobe "$1" || return 0
	ip link set "$(interface_of "$card")" up
	echo 1 >"/sys/bus/pci/devices/$card/sriov_numvfs"
	ip link set "$(interface_of "$card")" vf 0 mac 52:54:00:00:00:77
	# The kernel has given the new card to its driver already.
	modprobe -qr "$module"
}

# Runs the command unless the domain is dead, which a check of its own tells.
living() {
	[ "$(cat "$SIDE/$DOMAIN/state")" != running ] || "$@"
}

nothing_left() {
	[ ! -e "$SIDE/$DOMAIN" ] && [ ! -e "/sys/bus/pci/devices/$ADDRESS/driver" ] &&
		! grep -q "side-" /proc/interrupts && ! grep -q "$NIC" /proc/net/dev
}

peer_up e1000e 0x8086:0x10d3 || { echo "Bail out! no peer"; exit 1; }
insmod "$MODULE" || { echo "Bail out! the module does not load"; exit 1; }
for line in $DRIVERS; do
	module=${line%%:*} id=${line#*:}
	# The physical function stays with its driver in the kernel.
	[ "$module" != igbvf ] || virtual_function igb 0x8086:0x10c9
	DOMAIN=$(tr - _ <<<"$module")
	what="$module on $id"
	path=$(modinfo -n "$module")
	ADDRESS=$(pci_of "0x${id%:*}:0x${id#*:}") || { skip "$what" "the machine has no such card"; continue; }
	if ! works_natively "$module" >/tmp/native 2>&1; then
		skip "$what" "does not work in the kernel on the emulated card either: $(tail -n 1 /tmp/native)"
		continue
	fi
	modprobe "$module" && DRIVER_NAME=$(ethtool -i "$(interface_of "$ADDRESS")" | sed -n 's/^driver: //p')
	modprobe -r "$module"
	check "$what: loads" sh -c "echo $path >$SIDE/load"
	# The machine may be slow and shared: a poll that takes long here is no hang.
	[ -e "$SIDE/$DOMAIN" ] && echo "30000000 10000000" >"$SIDE/$DOMAIN/budget_us"
	[ -e "$SIDE/$DOMAIN" ] || { dmesg | tail -n 12 | sed 's/^/# log: /'; continue; }
	living check "$what: interface up" up
	living check "$what: pings of four sizes" pings
	living check "$what: TCP out" send_file "$BYTES" there
	living check "$what: TCP in" send_file "$BYTES" here
	living check "$what: ethtool" answers
	living check "$what: down and up" down_up
	living crossings
	check "$what: no fault" sh -c "[ \"\$(cat $SIDE/$DOMAIN/state)\" = running ]"
	[ "$(cat "$SIDE/$DOMAIN/state")" = running ] || dmesg | tail -n 40 | sed 's/^/# log: /'
	check "$what: unloads" sh -c "echo $DOMAIN >$SIDE/unload"
	check "$what: nothing left" nothing_left
	[ "$module" != igbvf ] || modprobe -r igb
done
check "module unloads" rmmod side
finish
