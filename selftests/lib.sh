# SPDX-License-Identifier: GPL-2.0
# Sourced by the tests that run in the guest: KTAP output, loading drivers under SIDE, a peer.

SIDE=/sys/kernel/side
MODULES=/lib/modules/$(uname -r)/kernel
E1000E=$MODULES/drivers/net/ethernet/intel/e1000e/e1000e.ko.xz
MODULE=${SIDE_MODULE:-/side/build/side.ko}

number=0
failures=0

# check DESCRIPTION COMMAND...: one KTAP result from the command's status; its output is shown
# when it fails.
check() {
	local what=$1 output
	shift
	number=$((number + 1))
	if output=$("$@" 2>&1); then
		echo "ok $number $what"
	else
		failures=$((failures + 1))
		echo "$output" | sed 's/^/# /'
		echo "not ok $number $what"
	fi
}

# skip DESCRIPTION REASON
skip() {
	number=$((number + 1))
	echo "ok $number $1 # SKIP $2"
}

# Ends the test with the plan and the status.
finish() {
	echo "1..$number"
	[ "$failures" -eq 0 ]
	exit $?
}

ktap() {
	echo "KTAP version 1"
}

# side_load [PARAMETER=VALUE...]: the module with the packaged e1000e, unless driver= says another.
side_load() {
	case "$*" in
	*driver=*) insmod "$MODULE" "$@" ;;
	*) insmod "$MODULE" driver="$E1000E" "$@" ;;
	esac
}

side_unload() {
	rmmod side
}

# interface_of PCI_ADDRESS: the name of the interface of that device, once it is there.
interface_of() {
	local n
	for n in $(seq 50); do
		for path in "/sys/bus/pci/devices/$1/net/"*; do
			[ -e "$path" ] && basename "$path" && return 0
		done
		sleep 0.1
	done
	return 1
}

# pci_of DEVICE_ID: the address of the nth (default first) device with that vendor:device.
pci_of() {
	local path wanted=$1 nth=${2:-1}
	for path in /sys/bus/pci/devices/*; do
		if [ "$(cat "$path/vendor"):$(cat "$path/device")" = "$wanted" ]; then
			nth=$((nth - 1))
			[ "$nth" -eq 0 ] && basename "$path" && return 0
		fi
	done
	return 1
}

# wait_carrier INTERFACE [SECONDS]
wait_carrier() {
	local n
	for n in $(seq $((${2:-10} * 10))); do
		[ "$(cat "/sys/class/net/$1/carrier" 2>/dev/null)" = 1 ] && return 0
		sleep 0.1
	done
	echo "no carrier on $1"
	return 1
}

# peer_up [MODULE DEVICE_ID]: an ordinary NIC (an e1000, if nothing else is said), driven in the kernel, in a
# network namespace, on the same hub.
# Addresses: the interface under test 10.9.0.1 and fd09::1, the peer 10.9.0.2 and fd09::2.
peer_up() {
	modprobe "${1:-e1000}"
	PEER=$(interface_of "$(pci_of "${2:-0x8086:0x100e}")") || return 1
	ip netns add peer
	ip link set "$PEER" netns peer
	ip netns exec peer ip link set lo up
	ip netns exec peer ip link set "$PEER" up
	ip netns exec peer ip addr add 10.9.0.2/24 dev "$PEER"
	ip netns exec peer ip -6 addr add fd09::2/64 dev "$PEER" nodad
}

# test_interface_up: sets NIC to the e1000e's interface, up, with its addresses.
test_interface_up() {
	NIC=$(interface_of "$(pci_of 0x8086:0x10d3)") || { echo "no interface"; return 1; }
	ip link set "$NIC" up
	ip addr add 10.9.0.1/24 dev "$NIC"
	ip -6 addr add fd09::1/64 dev "$NIC" nodad
	wait_carrier "$NIC"
}

in_peer() {
	ip netns exec peer "$@"
}

# reaches_peer: an answer of the peer, which is waited for.
reaches_peer() {
	local n
	for n in $(seq 30); do
		ping -q -c 1 -W 1 10.9.0.2 >/dev/null && return 0
	done
	echo "the peer does not answer"
	return 1
}

# kernel_memory: KiB that the kernel holds, everything in pages, after everything that can be dropped was.
kernel_memory() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	sleep 1
	awk '/^(SUnreclaim|VmallocUsed|PageTables|KernelStack|Percpu):/ { sum += $2 } END { print sum }' /proc/meminfo
}

# listening t|u PORT [COMMAND...]: waits until a TCP or UDP socket is there to be sent to, in the network
# namespace that COMMAND (as in_peer) enters.
listening() {
	local kind=$1 port=$2 n
	shift 2
	for n in $(seq 200); do
		"$@" ss -H"$kind"ln sport = :"$port" 2>/dev/null | grep -q . && return 0
		sleep 0.1
	done
	return 1
}

# rule_of DRIVER: by which rule the driver's domain ended first, by the log; nothing if it did not.
rule_of() {
	dmesg | sed -n "s/.*$1: domain ended: \([a-z0-9-]*\).*/\1/p" | head -n 1
}

# ends_by DRIVER RULE: the driver's domain ends by that rule in a moment, or, with `none`, not. It is
# unloaded then: one that ended is started again.
ends_by() {
	local rule n
	for n in $(seq 15); do
		[ -z "$(rule_of "$1")" ] || break
		sleep 0.1
	done
	rule=$(rule_of "$1")
	echo "$1" >$SIDE/unload
	dmesg | tail -n 20
	echo "rule ${rule:-none}"
	[ "${rule:-none}" = "$2" ]
}

# echoes: how many echo requests this network namespace sent and how many answers it got, by the
# kernel's own count.
echoes() {
	awk '/^IcmpMsg:/ && !names { names = split($0, name); next }
		/^IcmpMsg:/ { for (n = 2; n <= names; n++) count[name[n]] = $n }
		/^Icmp6OutEchos / { count["OutType8"] += $2 }
		/^Icmp6InEchoReplies / { count["InType0"] += $2 }
		END { print count["OutType8"] + 0, count["InType0"] + 0 }' /proc/net/snmp /proc/net/snmp6
}

# ping_all PING_OPTION... ADDRESS: pings that are all answered in the end. The count is the kernel's:
# ping itself gives the last ones up after twice the longest time it has seen, which is too soon
# where the host takes the CPU away from the machine for a moment.
ping_all() {
	local before after n
	before=$(echoes)
	ping -q -W 10 "$@" | grep transmitted
	for n in $(seq 300); do
		after=$(echoes)
		[ $((${after% *} - ${before% *})) = $((${after#* } - ${before#* })) ] &&
			[ "${after% *}" -gt "${before% *}" ] && return 0
		sleep 0.1
	done
	echo "sent and answered: $before before, $after after"
	return 1
}

# udp_all here|there COUNT SIZE: numbered datagrams from the peer or to it, all of which arrive, in order.
udp_all() {
	local address=10.9.0.2 to="in_peer" from=""
	[ "$1" = there ] || { address=10.9.0.1 to="" from="in_peer"; }
	$to python3 -B /side/selftests/udp.py receive $address "$2" &
	local receiver=$!
	listening u 5202 $to
	$from python3 -B /side/selftests/udp.py send $address "$2" "$3"
	wait $receiver
}

# send_file BYTES here|there ADDRESS: a file of random bytes over TCP to (there) or from the peer
# (here), compared by checksum.
send_file() {
	local bytes=$1 direction=$2 address=${3:-} from="" to="in_peer"
	head -c "$bytes" /dev/urandom >/tmp/sent
	rm -f /tmp/received
	if [ "$direction" = there ]; then
		address=${address:-10.9.0.2}
	else
		from="in_peer" to="" address=${address:-10.9.0.1}
	fi
	case $address in *:*) listen=TCP6-LISTEN; connect="TCP6:[$address]" ;; *) listen=TCP4-LISTEN; connect="TCP4:$address" ;; esac
	$to timeout 300 socat -u "$listen:5001,reuseaddr" OPEN:/tmp/received,creat,trunc &
	local receiver=$!
	listening t 5001 $to
	$from timeout 300 socat -u OPEN:/tmp/sent "$connect:5001" || { kill $receiver; return 1; }
	wait $receiver || return 1
	[ "$(sha256sum </tmp/sent)" = "$(sha256sum </tmp/received)" ]
}

# recovered COUNT: waits until the driver whose folder is D runs again after that many recoveries, with
# a link on NIC.
recovered() {
	local n
	for n in $(seq 600); do
		if [ "$(cat $D/recoveries)" -ge "$1" ] && grep -qx running $D/state &&
			[ "$(cat "/sys/class/net/$NIC/carrier")" = 1 ]; then
			return 0
		fi
		sleep 0.1
	done
	echo "state $(cat $D/state), $(cat $D/recoveries) recoveries"
	dmesg | tail -n 40
	return 1
}
