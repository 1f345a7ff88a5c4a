# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# Sourced by the tests that load hostile payloads beside a TCP stream between two ordinary NICs:
# `--nic e1000,net=hub --nic e1000,net=hub`.
shopt -s extglob
# shellcheck source=selftests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
ktap
HOSTILE=/side/build/payload/side_hostile.ko
PROGRAMS=/side/selftests/programs

check "side loads without a driver" insmod "$MODULE"

# A TCP stream between the two ordinary NICs, from before the first payload until after the last.
modprobe e1000
A=$(interface_of "$(pci_of 0x8086:0x100e)")
B=$(interface_of "$(pci_of 0x8086:0x100e 2)")
ip netns add peer
ip link set "$B" netns peer
ip link set "$A" up
ip addr add 10.9.0.1/24 dev "$A"
in_peer ip link set "$B" up
in_peer ip addr add 10.9.0.2/24 dev "$B"
wait_carrier "$A"
in_peer socat -u TCP4-LISTEN:5002,reuseaddr OPEN:/tmp/stream,creat,trunc &
SINK=$!
sleep 0.5
# Builtins only: under emulation a program costs more than a payload does.
rm -f /tmp/never /tmp/enough
mkfifo /tmp/never
(while [ ! -e /tmp/enough ]; do printf '%(%c)T\n'; read -rt 0.05; done <>/tmp/never | tee /tmp/streamed) |
	socat -u - TCP4:10.9.0.2:5002 &
STREAM=$!

# How a payload is loaded: by the shell, or by a program that has something to lose.
by_shell() { echo "$HOSTILE attack=$1 ${2:+address=$2}" >$SIDE/load; }
by_registers() { /tmp/registers $SIDE/load "$HOSTILE attack=$1 ${2:+address=$2}"; }
by_secret() { "$PROGRAMS/secret" $SIDE/load "$HOSTILE" "$1" ${2:+"$2"}; }

# attack NUMBER RULE [ADDRESS]: the payload must die, by that rule; "none" if it must live. The kernel's log
# of it is in /tmp/report.
attack() {
	local status=0 rule=none state n=0 report
	${LOADER:-by_shell} "$1" "${3:-}" || status=$?
	# A payload that dies in a timer or after init leaves a failed domain behind.
	while [ "$2" != none ] && [ -d $SIDE/side_hostile ] && [ $n -lt 40 ]; do
		read -r state <$SIDE/side_hostile/state
		[ "$state" = running ] || break
		sleep 0.1
		n=$((n + 1))
	done
	[ ! -d $SIDE/side_hostile ] || echo side_hostile >$SIDE/unload
	busybox dmesg -c >/tmp/report
	report=$(</tmp/report)
	if [[ $report =~ side_hostile:\ domain\ ended:\ ([a-z0-9-]+) ]]; then rule=${BASH_REMATCH[1]}; fi
	echo "status $status, rule $rule"
	# Those loaders say by their status whether they lost anything.
	[ -z "${LOADER:-}" ] || [ $status = 0 ] || return 1
	# The rule may be a pattern.
	# shellcheck disable=SC2053 # a pattern is meant
	[[ $rule == $2 ]]
}

stream_is_whole() {
	touch /tmp/enough
	wait $STREAM $SINK
	[ -s /tmp/stream ] && cmp /tmp/streamed /tmp/stream
}

# bad_arguments: reads a line a kind of import: payload, and the rule by which a bad argument of it is
# refused.
bad_arguments() {
	local n rule bad
	while read -r n rule; do
		for bad in 0x8 0xffffffff81000000 0x8000000000000000 0x30000000; do
			check "argument $bad, payload $n" attack "$n" "$rule" $bad
		done
	done
}
