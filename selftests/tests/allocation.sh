#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# No memory: one allocation of the module fails, at each place in turn, while a driver is loaded, used, started
# afresh and unloaded. What fails says so, leaves nothing behind, and the next time all is well.
# timeout: 900
# vm: --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
# PLACES=N (default 12): at most so many places of each kind; 0 all of them.
. "$(dirname "$0")/../lib.sh"
ktap
PLACES=${PLACES:-12}
D=$SIDE/e1000e
FAILING=/sys/module/side_failing/parameters
ADDRESS=$(pci_of 0x8086:0x10d3)

check "side loads without a driver" insmod "$MODULE"
text=$(awk '$4 == "[side]" && $3 !~ /^__/ && $2 ~ /[tT]/ { print $1 }' /proc/kallsyms | sort | sed -n '1p;$p' | paste -sd ' ')
check "probes sit on what gives memory" insmod /side/build/failing/side_failing.ko from=0x${text% *} to=0x${text#* }
peer_up

arm() { echo 0 >$FAILING/nth && echo 0 >$FAILING/seen && echo "$1" >$FAILING/nth; }
seen() { cat $FAILING/seen; }
used() { test_interface_up && reaches_peer; }
gone() { [ ! -e $D ] && [ ! -e "/sys/bus/pci/devices/$ADDRESS/driver" ] && [ -z "$(ls "/sys/bus/pci/devices/$ADDRESS/net" 2>/dev/null)" ]; }

# once: what is done while one allocation fails. A load that is refused is one that must have left nothing.
once() {
	if echo "$E1000E" >$SIDE/load; then
		NIC=$(interface_of "$ADDRESS") && ip link set "$NIC" up && ip addr add 10.9.0.1/24 dev "$NIC" && sleep 0.2
		ping -q -c 2 -i 0.2 -W 1 10.9.0.2
		echo e1000e >$SIDE/unload
	fi >/dev/null 2>&1
}
places() {
	local all=$1 step=1
	[ "$PLACES" = 0 ] || step=$(((all + PLACES - 1) / PLACES))
	seq 1 "$step" "$all"
}

whole() {
	arm 0 && echo "$E1000E" >$SIDE/load && used && echo e1000e >$SIDE/unload && gone
}
check "without a failure all is well" whole
arm 0
once
all=$(seen)
check "there are places to fail at ($all)" test "$all" -gt 100
swept() {
	local n status=0
	for n in $(places "$all"); do
		arm "$n"
		once
		if ! gone; then
			echo "left behind after number $n ($(cat $FAILING/last)):"
			ls -d $D; ls -l "/sys/bus/pci/devices/$ADDRESS/driver"
			dmesg | tail -n 20
			status=1
			echo e1000e >$SIDE/unload
		fi
	done
	arm 0
	return $status
}
check "each of them in a load, a use and an unload" swept
check "and all is well again" whole

check "a driver to start afresh" eval 'echo "$E1000E" >$SIDE/load && used'
echo "failures 0 delay 0" >$D/policy
arm 0
echo 1 >$D/restart
all=$(seen)
check "there are places to fail at in a restart ($all)" test "$all" -gt 50
restarted() {
	local n state
	for n in $(places "$all"); do
		arm "$n"
		echo 1 >$D/restart 2>/dev/null
		echo 0 >$FAILING/nth
		for _ in $(seq 100); do
			state=$(cat $D/state)
			case $state in running | failed) break ;; esac
			sleep 0.1
		done
		if [ "$state" != running ] && ! { echo 1 >$D/restart && [ "$(cat $D/state)" = running ]; }; then
			echo "number $n ($(cat $FAILING/last)): $state, and another restart does not help"
			dmesg | tail -n 20
			return 1
		fi
	done
	reaches_peer
}
check "each of them in a restart" restarted
before=$(kernel_memory)
check "and again" restarted
after=$(kernel_memory)
echo "# memory of the kernel: $before KiB before the last of these, $after after"
# A domain holds more than 1 MiB: one that stays would show.
check "which takes no memory" test $((after - before)) -lt 1024
check "the driver is unloaded" eval 'echo e1000e >$SIDE/unload && gone'
check "the probes go" rmmod side_failing
check "side is unloaded" rmmod side
finish
