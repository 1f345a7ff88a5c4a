#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A short fault-injection campaign under SIDE: whatever a faulty driver does, the kernel goes on, the
# driver can be unloaded, and the unchanged one works again. `make campaign` is the long form.
# The trials follow from CAMPAIGN_SEED (1), CAMPAIGN_FIRST (12) and CAMPAIGN_TRIALS (8), and from
# the driver's file alone: the plan is made here, without a profile of what the load executes.
# timeout: 800
# again: a host that stalls can outlast the time limits of a trial
# vm: --iommu intel --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
. "$(dirname "$0")/../lib.sh"
ktap
TRIALS=${CAMPAIGN_TRIALS:-8}
FIRST=${CAMPAIGN_FIRST:-12}
TOOL=/side/build/campaign/target/release/side-campaign
export CAMPAIGN=/tmp/campaign

plan() {
	mkdir -p $CAMPAIGN
	xz -dc "$E1000E" >$CAMPAIGN/driver.ko
	$TOOL plan $CAMPAIGN/driver.ko $CAMPAIGN "${CAMPAIGN_SEED:-1}" "$FIRST" "$TRIALS"
	[ "$(wc -l <$CAMPAIGN/plan.tsv)" = "$TRIALS" ]
}
check "a plan of $TRIALS trials" plan
bash "$(dirname "$0")/../campaign/guest" side "$FIRST" $((FIRST + TRIALS - 1)) >/tmp/campaign.log 2>&1 &
GUEST=$!
# Not through a pipe, which the peer's program would keep open.
tail -q -n +1 -f --pid=$GUEST /tmp/campaign.log | grep --line-buffered -E '^(RESULT|rmmod|insmod)' | sed -u 's/^/# /'
wait $GUEST
STATUS=$?

# outcome NAME: how many trials ended so.
outcome() { awk -F'\t' -v wanted="$1" '$1 == "RESULT" && $4 == wanted { n++ } END { print n + 0 }' /tmp/campaign.log; }
all_done() { [ "$STATUS" = 0 ] && [ "$(grep -c '^RESULT' /tmp/campaign.log)" = "$TRIALS" ]; }
none() { [ "$(outcome "$1")" = 0 ]; }
some() { [ "$(outcome "$1")" -gt 0 ]; }
recovered() { ! awk -F'\t' '$1 == "RESULT" && $4 != "no-effect" && $6 != "yes"' /tmp/campaign.log | grep .; }
check "every trial came to its end, and the module could go" all_done
check "no trial made the kernel complain" none kernel-crash
check "no trial hung" none hang
check "no trial left interrupts, address ranges or interfaces behind" none left-behind
check "faults were detected" some detected
check "the unchanged driver worked after each failure" recovered
finish
