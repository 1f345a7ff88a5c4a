#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Random imports with random and nearly right arguments, from two CPUs at once: nothing but refusals,
# and the kernel's own checkers find nothing. Each seed gives the same calls again.
# RANDOM_SECONDS (default 20) and RANDOM_SEED (default 1) choose a longer round and another start.
# timeout: 800
# vm: --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap
PAYLOAD=/side/build/payload/side_random.ko
first=${RANDOM_SEED:-1}
seed=$first

check "side loads without a driver" insmod "$MODULE"
dmesg -C
end=$(($(date +%s) + ${RANDOM_SECONDS:-20}))
: >/tmp/rules
while [ "$(date +%s)" -lt $end ]; do
	echo "$PAYLOAD seed=$seed" >$SIDE/load 2>/dev/null
	[ ! -d $SIDE/side_random ] || echo side_random >$SIDE/unload
	rule_of side_random >>/tmp/rules
	dmesg | grep -E 'BUG|WARNING|Oops|refcount|stall|lockup|KFENCE' >>/tmp/complaints
	dmesg -C
	seed=$((seed + 1))
done
echo "# $((seed - first)) loads from seed $first, $(grep -c . /tmp/rules) ended by a rule:"
sort /tmp/rules | uniq -c | sort -rn | sed 's/^/# /'
check "at least one domain was ended by a rule" grep -q . /tmp/rules
no_complaint() { ! grep . /tmp/complaints; }
check "no complaint of the kernel" no_complaint
check "the folder is empty again" test ! -d $SIDE/side_random
check "rmmod" side_unload
finish
