#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Suspend to idle (s2idle), to RAM (S3) and the calls of hibernation, and runtime power management: the
# packaged e1000e under SIDE is called in the same order as in the kernel, has the same settings
# afterwards and carries traffic.
#
# A guest whose root is a virtiofs mount cannot be suspended: this one has its root on a disk.
# SUSPENDS=all is the long form: turning round at more places, and each sleep twice.
# timeout: 900
# again: a host that stalls can outlast the time limits of a wake-up
# vm: --smp 2 --root image --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap
SUSPENDS=${SUSPENDS:-short}
CARD=$(pci_of 0x8086:0x10d3)
TRACING=/sys/kernel/tracing
SUCCESSES=/sys/power/suspend_stats/success

# What ethtool and ip show; a driver restores it.
settings() {
	for option in "" -k -g -c -a --show-eee -P -T; do
		# shellcheck disable=SC2086 # no option is an option
		ethtool $option "$NIC"
	done
	ip -d address show "$NIC" | sed 's/^[0-9]*:/:/;s/valid_lft.*//'
	ip maddress show dev "$NIC" | sed 1d | sort
	cat "/sys/class/net/$NIC/carrier"
}

# The kernel's calls for the card's power management, in order: phase and which table they come from.
calls_begin() {
	echo 0 >$TRACING/tracing_on
	echo >$TRACING/trace
	echo "device == \"$CARD\"" >$TRACING/events/power/device_pm_callback_start/filter
	echo 1 >$TRACING/events/power/device_pm_callback_start/enable
	echo 1 >$TRACING/tracing_on
}
calls_end() {
	echo 0 >$TRACING/tracing_on
	sed -n 's/.*device_pm_callback_start: [^ ]* \(.*\)/\1/p' $TRACING/trace
}

traffic() {
	wait_carrier "$NIC" 20 && ping_all -c 10 -i 0.02 10.9.0.2 &&
		send_file 300000 "${1:-there}"
}

# By /sys/power/pm_test the kernel turns round before it sleeps: that needs nothing to wake it.
turn_round() {
	echo "$1" >/sys/power/pm_test && echo "$2" >/sys/power/state
	local status=$?
	echo none >/sys/power/pm_test
	return $status
}

# s2idle ends by the power button. A press that comes before the machine sleeps makes it stay awake;
# then there is another try with more time.
to_idle() {
	local before seconds
	before=$(cat $SUCCESSES)
	for seconds in 5 15 30; do
		vm-monitor after $seconds system_powerdown || return 1
		echo freeze >/sys/power/state
		[ "$(cat $SUCCESSES)" -gt "$before" ] && return 0
		sleep $seconds
	done
	return 1
}

# S3 ends by the clock's alarm, or, when a slow machine let that pass before it slept, by the monitor.
to_ram() {
	local before
	before=$(cat $SUCCESSES)
	vm-monitor after 90 system_wakeup
	rtcwake -m mem -s 15 >/dev/null || return 1
	[ "$(cat $SUCCESSES)" -gt "$before" ]
}

runtime() {
	local path=/sys/bus/pci/devices/$CARD/power
	for value in auto on auto; do
		echo $value >$path/control
		sleep 2
		grep -H . $path/control $path/runtime_status $path/runtime_usage $path/runtime_enabled
	done
	ip link set "$NIC" down
	# The driver gives a card without a link, or one that is down, some seconds.
	sleep 8
	grep -H . $path/control $path/runtime_status $path/runtime_usage $path/runtime_enabled
	ip link set "$NIC" up && wait_carrier "$NIC" 20
	ip address replace 10.9.0.1/24 dev "$NIC"
	cat $path/runtime_status
	echo on >$path/control
}

# collect NAME STEP...: the steps with the driver that is loaded now; results under /tmp/NAME.
collect() {
	local name=$1 step
	shift
	mkdir -p "/tmp/$name"
	check "$name: the interface comes up" test_interface_up
	NIC=$(interface_of "$CARD")
	ip maddress add 01:00:5e:01:02:03 dev "$NIC"
	ethtool -A "$NIC" rx off tx off
	ethtool -C "$NIC" rx-usecs 100
	ethtool -K "$NIC" tso off
	sleep 3
	check "$name: it carries traffic" traffic here
	settings >"/tmp/$name/settings" 2>&1
	for step; do
		calls_begin
		check "$name: $step" $step
		calls_end >"/tmp/$name/calls ${step#turn_round }"
		check "$name: traffic afterwards" traffic
		settings >"/tmp/$name/settings now" 2>&1
		check "$name: the same settings" diff -u "/tmp/$name/settings" "/tmp/$name/settings now"
	done
}

# With the interface down, and what the device does at run time.
collect_more() {
	local name=$1
	ip link set "$NIC" down
	calls_begin
	check "$name: turn round with the interface down" turn_round core mem
	calls_end >"/tmp/$name/calls down"
	ip link set "$NIC" up
	ip address replace 10.9.0.1/24 dev "$NIC"
	check "$name: traffic afterwards" traffic
	runtime >"/tmp/$name/runtime power management" 2>&1
	check "$name: traffic after runtime power management" traffic
}

modprobe button
echo 1 >/sys/module/suspend/parameters/pm_test_delay
peer_up
modprobe e1000e
if [ "$SUSPENDS" = all ]; then
	collect native "turn_round devices freeze" "turn_round core mem" "turn_round core disk" to_idle
else
	collect native "turn_round core mem" to_idle
fi
collect_more native
rmmod e1000e
check "side loads with the packaged e1000e" side_load
if [ "$SUSPENDS" = all ]; then
	collect side "turn_round devices freeze" "turn_round core mem" "turn_round core disk" to_idle to_idle
else
	collect side "turn_round core mem" to_idle
fi
collect_more side
# The emulated machine does not wake from s2idle any more once it has been in S3: so this is the last.
collect side to_ram to_ram
check "no fault happened" grep -qx none $SIDE/e1000e/last_fault
check "side unloads" side_unload
modprobe e1000e
collect native to_ram
check "there are calls to compare" grep -q suspend "/tmp/native/calls core mem"
for path in /tmp/native/*; do
	check "same: $(basename "$path")" diff -u "$path" "/tmp/side/$(basename "$path")"
done
finish
