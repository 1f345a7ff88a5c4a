#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What ethtool and ip show and change is the same, whether the packaged e1000e runs in the kernel
# or under SIDE, on the same emulated card.
# again: counters of the interface go on between two looks
# vm: --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap

# Runs one probe on the interface and keeps what it says under its name.
probe() {
	local name=$1
	shift
	"$@" >"$OUT/$name" 2>&1
	echo "status $?" >>"$OUT/$name"
}

# collect FOLDER: all probes with the driver that is loaded now.
collect() {
	OUT=$1
	rm -rf "$OUT"
	mkdir -p "$OUT"
	NIC=$(interface_of "$(pci_of 0x8086:0x10d3)") || return 1
	ip link set "$NIC" up
	wait_carrier "$NIC" || return 1
	probe driver ethtool -i "$NIC"
	probe settings ethtool "$NIC"
	probe features ethtool -k "$NIC"
	probe rings ethtool -g "$NIC"
	probe coalescing ethtool -c "$NIC"
	probe pause ethtool -a "$NIC"
	probe timestamping ethtool -T "$NIC"
	probe eee ethtool --show-eee "$NIC"
	probe address ethtool -P "$NIC"
	probe module-eeprom ethtool -m "$NIC"
	probe private-flags ethtool --show-priv-flags "$NIC"
	probe rss ethtool -x "$NIC"
	probe hash-fields ethtool -n "$NIC" rx-flow-hash tcp4
	probe channels ethtool -l "$NIC"
	probe eeprom ethtool -e "$NIC"
	probe registers sh -c "ethtool -d $NIC | grep -Ev '(RDH|RDT|TDH|TDT)'"
	probe statistics sh -c "ethtool -S $NIC | sed 's/:.*//'"
	probe set-rings sh -c "ethtool -G $NIC rx 512 tx 512; ethtool -g $NIC; ethtool -G $NIC rx 256 tx 256"
	probe set-coalescing sh -c "ethtool -C $NIC rx-usecs 100; ethtool -c $NIC; ethtool -C $NIC rx-usecs 3"
	probe refused-coalescing ethtool -C "$NIC" rx-frames 3
	wait_carrier "$NIC"
	probe set-pause sh -c "ethtool -A $NIC rx off tx off; sleep 3; ethtool -a $NIC; ethtool -A $NIC rx on tx on"
	sleep 1
	wait_carrier "$NIC"
	probe forced-speed sh -c "ethtool -s $NIC speed 100 duplex full autoneg off; sleep 3; ethtool $NIC"
	probe negotiated sh -c "ethtool -s $NIC autoneg on; sleep 4; ethtool $NIC"
	probe message-level sh -c "ethtool -s $NIC msglvl 0x3f; ethtool $NIC; ethtool -s $NIC msglvl 7"
	probe wake-on-lan ethtool -s "$NIC" wol g
	probe identify timeout 20 ethtool -p "$NIC" 1
	probe restart ethtool -r "$NIC"
	sleep 1
	wait_carrier "$NIC"
	probe set-private-flags ethtool --set-priv-flags "$NIC" s0ix-enabled on
	probe self-test timeout 60 ethtool -t "$NIC" online
	# The loop-back test waits for a frame for 20 ticks; in an emulated machine either driver
	# passes it or not with the load of the host.
	probe self-test-offline sh -c "timeout 120 ethtool -t $NIC offline | grep -v Loopback"
	wait_carrier "$NIC"
	probe link sh -c "ip -d link show $NIC | sed 's/^[0-9]*:/:/'"
	probe attributes sh -c "cd /sys/class/net/$NIC && grep -H . mtu flags tx_queue_len type carrier operstate speed duplex; ls . queues"
	ip link set "$NIC" down
}

peer_up
native() { modprobe e1000e && collect /tmp/native; local s=$?; rmmod e1000e; return $s; }
check "the driver in the kernel answers" native
check "side loads with the packaged e1000e" side_load
check "the driver under SIDE answers" collect /tmp/side
for path in /tmp/native/*; do
	check "same: $(basename "$path")" diff -u "$path" "/tmp/side/$(basename "$path")"
done
check "no fault happened" grep -qx none "$SIDE/e1000e/last_fault"
check "side unloads" side_unload
finish
