#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A short fault-injection campaign under SIDE: whatever a faulty driver does, the kernel goes on, the
# driver can be unloaded, and the unchanged one works again. `make campaign` is the long form.
# The trials follow from CAMPAIGN_SEED (1), CAMPAIGN_FIRST (0), CAMPAIGN_TRIALS (60), the driver's
# file, and what the load executes of it where that is known (selftests/campaign/coverage): a plan of faults in
# any code has fewer that matter.
# timeout: 2400
# again: a host that stalls can outlast the time limits of a trial
# vm: --iommu intel --smp 2 --nic e1000e,net=socket --peer /side/selftests/campaign/peer
. "$(dirname "$0")/../lib.sh"
ktap
TRIALS=${CAMPAIGN_TRIALS:-60}
FIRST=${CAMPAIGN_FIRST:-0}
export CAMPAIGN=/tmp/campaign

plan() {
	local coverage
	mkdir -p $CAMPAIGN
	ln -s /side/build/campaign/target/release/side-campaign $CAMPAIGN/
	xz -dc "$E1000E" >$CAMPAIGN/driver.ko
	coverage=/side/selftests/campaign/coverage/$(sha256sum $CAMPAIGN/driver.ko | cut -c 1-16)
	[ -e "$coverage" ] || coverage=
	$CAMPAIGN/side-campaign plan $CAMPAIGN/driver.ko $CAMPAIGN "${CAMPAIGN_SEED:-1}" "$FIRST" "$TRIALS" $coverage
	[ "$(wc -l <$CAMPAIGN/plan.tsv)" = "$TRIALS" ]
}
check "a plan of $TRIALS trials" plan
: >/tmp/campaign.log
bash "$(dirname "$0")/../campaign/guest" side "$FIRST" $((FIRST + TRIALS - 1)) >>/tmp/campaign.log 2>&1 &
GUEST=$!
# Not through a pipe, which the guest script's own processes would keep open.
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
# What a trial that should not have been said, with the kernel's log of it.
[ "$STATUS" = 0 ] && none kernel-crash && none hang && none left-behind ||
	grep -v ALIVE /tmp/campaign.log | tail -n 300 | sed 's/^/# /'
finish
