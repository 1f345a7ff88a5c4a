#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What a dead driver held is given back in the promised order, wherever it died: the card is silenced, then nothing new
# can start (interrupts, timers, work), then the interface, then DMA mappings, and the PCI device's own resources last.
# Seen by probes on the kernel's functions.
# vm: --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap
TRACING=/sys/kernel/tracing
D=$SIDE/e1000e
STEPS="pci_clear_master free_irq timer_shutdown_sync cancel_delayed_work_sync napi_disable_locked dma_unmap_page_attrs
	pci_disable_msix pci_release_selected_regions pci_disable_device"

[ -d $TRACING/events ] || mount -t tracefs tracefs $TRACING
probes() {
	local step
	for step in $STEPS; do
		echo "p:side_order/$step $step" >>$TRACING/kprobe_events || return 1
	done
	echo 1 >$TRACING/events/side_order/enable
}
check "side loads with the packaged e1000e" side_load
peer_up
check "the interface comes up" test_interface_up
NIC=$(interface_of "$(pci_of 0x8086:0x10d3)")
check "probes on what gives back" probes

# steps: the steps of the task that silenced the card, in their order, each once where it repeats itself.
steps() {
	awk '$1 == "#" { next }
		{ sub(/:$/, "", $5) }
		$5 == "pci_clear_master" { task = $1 }
		$1 == task && $5 != last { printf "%s%s", (last ? " " : ""), last = $5 }' $TRACING/trace
}
# ordered MODE PLACE COMMAND...: the driver dies at that place, and is given another life.
ordered() {
	local mode=$1 place=$2 n
	shift 2
	echo "$mode" >$D/mode && echo "failures 1" >$D/policy && echo 1 >$TRACING/tracing_on || return 1
	: >$TRACING/trace
	echo "$place" >$D/inject
	"$@" >/dev/null 2>&1
	for n in $(seq 100); do
		grep -qx failed $D/state && break
		sleep 0.1
	done
	echo 0 >$TRACING/tracing_on
	steps | tee /tmp/steps
	echo 1 >$D/restart && wait_carrier "$NIC" && grep -qx "$ORDER" /tmp/steps
}
ORDER="pci_clear_master free_irq timer_shutdown_sync cancel_delayed_work_sync napi_disable_locked dma_unmap_page_attrs"
ORDER="$ORDER pci_disable_msix pci_release_selected_regions pci_clear_master pci_disable_device"
sends() { ping -q -c 2 -i 0.2 -W 1 10.9.0.2; }
check "base: death in transmit" ordered base ndo_start_xmit sends
check "base: death in an interrupt" ordered base irq sends
check "base: death in a poll" ordered base poll sends
check "base: death in a timer" ordered base timer sleep 3
check "base: death in a work function" ordered base work sleep 3
check "base: death in ethtool" ordered base get_ringparam ethtool -g "$NIC"
check "optimised: death in transmit" ordered optimised ndo_start_xmit sends
check "optimised: death in the poll of an interrupt" ordered optimised irq-poll sends
echo 0 >$TRACING/events/side_order/enable
: >$TRACING/kprobe_events
echo 1 >$TRACING/tracing_on
check "rmmod" side_unload
finish
