#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The page tables under which the real driver runs hold its own pages and the few of the kernel that
# the CPU needs, nothing else; the kernel's own tables execute no page of the driver's text.
# Then a CPU goes away and comes back while the driver carries traffic.
# vm: --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap
check "load" side_load
check "the interface comes up" test_interface_up
check "the peer comes up" peer_up
check "ping" ping_all -c 20 -i 0.05 10.9.0.2
cat "$SIDE/e1000e/view" >/tmp/view
sed 's/^/# /' /tmp/view

# kernel_pages CPU: what that CPU's root holds of the kernel, one word a page.
kernel_pages() {
	awk -v cpu="$1" '$1 == cpu && $2 ~ /-/ && $3 !~ /u/ { print $4 }' /tmp/view | sort | paste -sd' '
}
for cpu in 0 1; do
	check "of the kernel CPU $cpu's root holds what the CPU needs" test "$(kernel_pages $cpu)" = \
		"double-fault-stack exit-stack gdt own-idt switch-text tss"
	check "CPU $cpu's root has no odd entry" grep -qE "^$cpu user [0-9]+ text [0-9]+ odd 0$" /tmp/view
done
check "the list is complete" grep -q "^1 user" /tmp/view
check "all CPUs have the same user half" test "$(awk '$2 == "user" { print $3, $5 }' /tmp/view | uniq | wc -l)" = 1
check "only the switch's two pages are executable for ring 0" test \
	"$(awk '$3 ~ /x/ && $3 !~ /u/ { print $4 }' /tmp/view | sort | uniq -c | xargs)" = "2 switch-text"
check "nothing is writable and executable" bash -c '! awk "{ print \$3 }" /tmp/view | grep -q wx'
check "there is text" grep -qE ' r-xu- ram$' /tmp/view
check "the kernel's own tables execute none of it" bash -c '! grep -q "!" /tmp/view'
# The regions of side_stubs/contract.rs: library to data, control page, CPU areas and
# tables of bus addresses, stacks, image, heap, registers,
# page descriptors.
outside() {
	local cpu range flags kind start end found low high
	grep -E '^[0-9]+ [0-9a-f]+-' /tmp/view | while read -r cpu range flags kind; do
		case $flags in *u*) ;; *) continue ;; esac
		start=$((16#${range%-*})) end=$((16#${range#*-})) found=0
		while read -r low high; do
			[ $start -ge $((low)) ] && [ $end -le $((high)) ] && found=1
		done <<-REGIONS
			0x10000000 0x10500000
			0x10600000 0x10601000
			0x11000000 0x18000000
			0x18000000 0x18800000
			0x20000000 0x24000000
			0x30000000 0x40000000
			0x60000000 0x70000000
			0x70000000 0x80000000
		REGIONS
		[ $found = 1 ] || echo "$range $flags $kind"
		[ "$kind" != mmio ] || { [ $start -ge $((0x60000000)) ] && [ $end -le $((0x70000000)) ]; } ||
			echo "$range is mmio"
	done
}
outside >/tmp/outside
check "each user page lies in a region of the domain" bash -c 'cat /tmp/outside; ! [ -s /tmp/outside ]'
# Ring-3 memory is what the domain is charged with, and the rings that it shares with the device.
ram=$(awk '$4 == "ram" { split($2, ends, "-"); print ends[1], ends[2] }' /tmp/view |
	while read -r start end; do echo $((16#$end - 16#$start)); done | paste -sd+)
ram=$((ram))
total=$(awk '$1 == "total" { print $2 }' "$SIDE/e1000e/memory")
echo "# $ram bytes of memory mapped, $total accounted for"
check "all that the domain is charged with is mapped" test "$ram" -ge "$total"
check "beyond that there are DMA rings only" test "$ram" -le $((total + 65536))

# CPU hotplug under traffic: the upcalls move to the other CPU and back.
hotplug() {
	local n
	ping_all -i 0.02 -c 400 10.9.0.2 &
	for n in 1 2 3; do
		echo 0 >/sys/devices/system/cpu/cpu1/online || return 1
		sleep 0.5
		echo 1 >/sys/devices/system/cpu/cpu1/online || return 1
		sleep 0.5
	done
	wait $!
}
if [ -w /sys/devices/system/cpu/cpu1/online ]; then
	check "CPU 1 goes and comes back under traffic, no ping lost" hotplug
	check "the driver runs on the CPU that came back" taskset -c 1 ping -c 20 -i 0.02 -W 5 -q 10.9.0.2
	check "the domain lives" grep -q running "$SIDE/e1000e/state"
else
	skip "CPU hotplug" "the kernel cannot"
fi
side_unload
check "unloaded" test ! -e "$SIDE"
finish
