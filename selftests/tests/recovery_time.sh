#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# From a driver's death to the first packet it takes at most what natively unbind, bind and up take in the same
# machine, and 50 ms. Time is counted in instructions: the emulated card's link takes its own time in both.
# timeout: 500
# relaxed
# vm: --icount --nic e1000e,net=hub --nic e1000,net=hub
# ROUNDS=N (default 1) of each
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../measure/lib.sh"
. "$(dirname "$0")/../measure/recovery.sh"
ktap
MORE=50000
measure_peer && recovery_peer || exit 1
measured() {
	measure_mode "$1" && time_to_packet && echo "$FIRST_US" >>/tmp/times.$1
}
median() { sort -n /tmp/times.$1 | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
for round in $(seq "${ROUNDS:-1}"); do
	for wanted in native base; do
		measured $wanted || exit 1
	done
done
native=$(median native)
base=$(median base)
echo "# to the first packet, in us: natively $native ($(tr '\n' ' ' </tmp/times.native)), from a death $base ($(tr '\n' ' ' </tmp/times.base))"
check "a recovery takes at most 50 ms more than unbind, bind and up" test "$base" -le $((native + MORE))
recovery_peer_end
measure_unload
finish
