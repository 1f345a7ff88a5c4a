#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A driver forges entries of the ring of deferred calls, their count, its pools of buffers and the word
# that says which poll follows, in both modes: it gains what the same call by the gate would have gained it.
# timeout: 800
# vm: --smp 2 --nic e1000,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap
PAYLOAD=/side/build/payload/side_ring.ko
DRIVER=$SIDE/side_ring

check "side loads without a driver" insmod "$MODULE"

# forged MODE NUMBER RULE: what the payload forges ends its domain by that rule, or, with `none`, not.
forged() {
	dmesg -C
	echo "$PAYLOAD forge=$2" >$SIDE/load && echo "$1" >$DRIVER/mode || return 1
	grep -qx "$1" $DRIVER/mode || { echo "the mode was not $1 in time"; return 1; }
	# That is long enough for the timer's upcall.
	ends_by side_ring "$3"
}

while read -r n base optimised what; do
	check "base: $what, payload $n" forged base "$n" "$base"
	check "optimised: $what, payload $n" forged optimised "$n" "$optimised"
done <<END
1 bad-ring-entry bad-ring-entry a number of no import
2 bad-ring-entry bad-ring-entry an import that is not deferred
3 bad-ring-entry bad-ring-entry an import among the deferred that is answered
4 bad-ring-entry bad-ring-entry a count beyond the ring
5 not-imported not-imported an import that the driver has not got
6 skb-freed-twice skb-freed-twice a replayed entry
7 not-an-skb not-an-skb a wrong slot
8 skb-freed-twice skb-freed-twice a ring full of one entry
9 not-an-skb not-an-skb a kernel address as a packet
10 not-a-napi not-a-napi a kernel address as a NAPI instance
11 not-a-napi not-a-napi a schedule of what is none
12 not-a-napi not-a-napi a completion of what is none
13 none kernel-address a kernel address in the pool
14 none none a count beyond the pool
15 none none an honest entry
16 not-a-napi none a schedule whose poll is said to follow
17 none none a kernel address as the instance whose poll follows
END
no_complaint() { ! dmesg | grep -E 'BUG|WARNING|Oops|lockup|stall'; }
check "no complaint of the kernel" no_complaint
check "rmmod" side_unload
finish
