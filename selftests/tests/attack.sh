#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# One payload a rule of the audit: each ends its domain by its rule, or is refused as the kernel
# would, and nothing of it stays behind.
# timeout: 800
# vm: --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap
PAYLOAD=/side/build/payload/side_attack.ko

check "side loads without a driver" insmod "$MODULE"

# All attacks first, each marked in the log, which is read once at the end: starting programs is what
# takes the time here.
declare -A expected ended user
names=(nothing)
expected[nothing]=none
# NAME RULE [ACT]: the rule that ends the domain, or none; what a user does with a driver whose probe stayed.
while read -r name rule act; do
	names+=("$name")
	expected[$name]=$rule
	user[$name]=$act
done <<END
register_twice registered-twice
free_registered free-of-registered-device
unregister_unregistered device-not-registered
free_twice not-a-net-device
use_after_free not-a-net-device
register_without_rtnl rtnl-not-held
rtnl_twice rtnl-held
rtnl_unheld rtnl-not-held
device_too_large bad-device-size
too_many_queues bad-device-size
not_ethernet not-ethernet
setup_not_text not-ethernet
register_again registered-twice
ethtool_beyond bad-pointer
netdev_ops_beyond bad-pointer
skb_put_after_free not-an-skb
skb_push_after_free not-an-skb
napi_add_twice napi-added-twice
napi_enable_twice napi-already-enabled
napi_disable_disabled napi-not-enabled
napi_unknown not-a-napi
napi_unprepared napi-not-prepared
napi_complete_outside napi-not-polled
gro_outside gro-outside-poll
skb_free_twice skb-freed-twice
skb_over_end skb-over-end
skb_under_head skb-under-head
skb_by_kfree bad-free
skb_short frame-too-short
skb_inside not-an-skb
dma_direction dma-direction
dma_length dma-length
dma_empty dma-length
dma_outside bad-pointer
dma_kernel_page not-a-page
dma_own_text bad-pointer
dma_unmap_unknown dma-unmap-unknown
dma_unmap_twice dma-unmap-unknown
dma_unmap_length dma-unmap-length
dma_unmap_direction dma-unmap-direction
dma_sync_unknown dma-sync-unknown
dma_sync_beyond dma-sync-unknown
dma_free_unknown dma-free-unknown
dma_free_twice dma-free-twice
dma_free_length dma-free-mismatch
config_bar config-write
config_msi_address config-write
config_msi_data config-write
config_msix_enable config-write
config_master config-write
config_rom config-write
config_power config-write
config_bridge config-write
msix_table unmapped-address
foreign_registers foreign-registers
foreign_memory foreign-registers
unmap_unknown unmap-unknown-registers
disable_twice disable-unbalanced
power_state power-state
pm_count pm-usage-count
pm_flags pm-driver-flags
not_a_device not-a-pci-device
foreign_irq foreign-irq
irq_not_text bad-function
free_unknown_irq free-unknown-irq
free_irq_twice free-unknown-irq
disable_msi_in_use vectors-in-use
enable_irq_unbalanced irq-enable-unbalanced
timer_add_twice timer-added-twice
timer_setup_not_text bad-function
timer_not_text bad-timer
delay_too_long delay-too-long
sleep_too_long deadline-exceeded
sleep_interruptible_too_long deadline-exceeded
usleep_too_long deadline-exceeded
schedule_too_long deadline-exceeded
address_too_long address-too-long
address_list bad-address-list
address_list_endless endless-list
queue_unknown bad-queue
queue_kind bad-queue-type
not_a_queue not-a-queue
native_called not-a-gate
denied_called denied-import
page_pool_unknown not-a-page-pool
ptp_unknown bad-ptp-clock
netdev_lock_held netdev-lock-held
netdev_lock_register netdev-lock-held
netdev_lock_unregister netdev-lock-held
netdev_lock_free netdev-lock-held
netdev_lock_missing netdev-lock-not-held
no_fragments no-fragments
poll_over_budget poll-over-budget
skb_length skb-length
skb_outside skb-data-outside
skb_long frame-too-long
skb_fragments too-many-fragments
skb_sum_outside skb-checksum
skb_received_stamped skb-not-transmitted
skb_around_object bad-fragment
dma_overlap dma-overlap
dma_pool_unknown not-a-dma-pool
dma_pool_in_use dma-pool-in-use
size_of_no_object bad-object
dmi_field bad-dmi-field
nested nested-too-deep
wake_unregistered none
carrier_unregistered none
queue_napi_unlocked rtnl-not-held
napi_claimed napi-not-scheduled
napis too-many-napis
sum_lengths skb-length
address_list_again endless-list
ptp_alarms none
ptp_clocks none
ptp_self_wait ptp-self-wait use_clock
close_in_stop closed-while-closing up_down
rtnl_in_open rtnl-held up
rtnl_of_another rtnl-not-held
rtnl_left left-locked
netdev_lock_left left-locked
driver_in_probe driver-core-busy
driver_under_rtnl rtnl-held
driver_under_lock netdev-lock-held
driver_for_bridge none
drivers none
coherent_stale unmapped-address
coherent_mapped bad-pointer
random_long bad-range
vmalloc_atomic sleep-in-atomic
wake_in_register none
napi_enable_removed not-a-napi
free_locked_elsewhere netdev-lock-held
many_devices too-many-devices
free_under_rtnl none
ethtool_answers none ask_ethtool
string_endless string-too-long
driver_unknown unregister-unknown-driver
driver_name driver-name
driver_table id-table
ports_foreign foreign-ports
region_foreign foreign-region
region_unclaimed region-not-claimed
pm_request bad-flags
pm_unknown bad-device
irq_waits irq-waits-for-itself
mutex_init_held mutex-init-held
mutexes too-many-mutexes
timers too-many-timers
work_items too-many-work-items
latency_twice pm-qos-added-twice
latency_unknown pm-qos-not-added
clock_unknown bad-clock
sleep_range bad-range
device_gone not-a-pci-device
dma_large none
dma_mask_narrow none
dma_mask_empty none
managed none
pm_self_wait pm-self-wait suspend_card
power_unsaved none suspend_card
irq_frees_neighbour irq-waits-for-itself
irq_not_started none
irq_no_suspend none
vector_number none
latency_negative bad-range
latency_update bad-range
latency_requests too-many-latency-requests
cross_clock bad-clock
cross_endless none
timers_wait timer-self-wait
format_deep none
timer_hog timer-hog
timer_spins budget-exceeded
address_list_slow budget-exceeded
irq_never_rests irq-waits-for-itself
line_unserved none
flags_mismatch none
regions_twice none
pm_count_taken pm-usage-count
pm_count_dropped pm-usage-count
pme_twice none
power_restored none suspend_card
wakeup_raced none
END
# What users do.
up() { ip link set "$(interface_of "$(pci_of 0x8086:0x10d3)")" up; }
up_down() {
	local nic
	nic=$(interface_of "$(pci_of 0x8086:0x10d3)")
	ip link set "$nic" up
	sleep 0.3
	ip link set "$nic" down
}
ask_ethtool() {
	local nic option
	nic=$(interface_of "$(pci_of 0x8086:0x10d3)")
	for option in -S -t -g -l --show-priv-flags; do ethtool $option "$nic"; done
	ethtool -L "$nic" combined 1
}
# The clock is adjusted (ADJ_FREQUENCY) and read.
use_clock() {
	python3 -c 'if True:
		import ctypes, os, time
		clock = ~os.open("/dev/ptp0", os.O_RDWR) << 3 | 3
		ctypes.CDLL(None).clock_adjtime(clock, (ctypes.c_uint * 64)(2))
		time.clock_gettime(clock)'
}
# Has the PM core suspend the card, if its driver has stayed, and resume it.
suspend_card() {
	local control
	for control in /sys/bus/pci/drivers/side-side_attack/0*/power/control; do
		[ -e "$control" ] || continue
		echo auto >"$control"
		sleep 0.5
		echo on >"$control"
	done
}
dmesg -C
for name in "${names[@]}"; do
	echo "<5>attack: $name" >/dev/kmsg
	echo "$PAYLOAD attack=$name" 2>/dev/null >$SIDE/load
	${user[$name]:-true} >/dev/null 2>&1
	[ ! -d $SIDE/side_attack ] || echo side_attack >$SIDE/unload
	# The log is a ring, too small for all of the reports.
	dmesg -c >>/tmp/attacks
done
while read -r name rule; do ended[$name]=$rule; done < <(awk '
	/ attack: / { name = $NF; print name, "none" }
	/side_attack: domain ended: / { split($0, part, "domain ended: "); split(part[2], word, " "); print name, word[1] }
' /tmp/attacks)
by_rule() {
	echo "ended by ${ended[$1]:-none}"
	[ "${ended[$1]:-none}" = "${expected[$1]}" ]
}
for name in "${names[@]}"; do check "$name: ${expected[$name]}" by_rule "$name"; done
# The tables of Documentation/audit.md before the section of those that have none, less that section's.
each_rule() {
	local rule missing=0 without words
	words=$(grep -rhoE '[a-z-]+' /side/selftests/tests /side/selftests/host/tests | sort -u)
	without=$(sed -n '/^## Rules without an attack/,/^## Several/p' /side/Documentation/audit.md)
	for rule in $(sed '/^## Rules without an attack/,$d' /side/Documentation/audit.md |
		sed -n 's/^\(| `[^|]*\)|.*/\1/p' | grep -oE '`[a-z]+(-[a-z]+)+`' | tr -d '`'); do
		grep -qF "\`$rule\`" <<<"$without" && continue
		grep -qxF "$rule" <<<"$words" && continue
		echo "no test has $rule"
		missing=1
	done
	return $missing
}
check "each rule has a test" each_rule
no_complaint() {
	! cat /tmp/attacks - < <(dmesg) |
		grep -E 'BUG|WARNING|Oops|lockup|stall|pagealloc|duplicate filename|Flags mismatch|underflow'
}
check "no complaint of the kernel" no_complaint
check "rmmod" side_unload
finish
