#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In the guest: how long an interface is away, natively by unbind, bind and up, under SIDE by a death, the
# modes in rotation. Counted like the part icount: a nanosecond of the machine is an instruction, and
# time in which it idles passes at once.
#
# usage: recovery.sh ROUNDS MODE...
set -u
. /side/selftests/lib.sh
. /side/selftests/measure/lib.sh
. /side/selftests/measure/recovery.sh
rounds=$1
shift
measure_peer && recovery_peer || exit 1
for round in $(seq "$rounds"); do
	for wanted; do
		measure_mode "$wanted"
		case $? in
		0) ;;
		4) [ "$round" != 1 ] || echo "SKIP mode $wanted: this version of SIDE does not have it"; continue ;;
		*) exit 1 ;;
		esac
		time_to_packet || exit 1
		printf 'RESULT {"part": "recovery", "metric": "first-packet", "mode": "%s", "round": %d, "value": %s, "unit": "us", "cpu": 0}\n' \
			"$mode" "$round" "$FIRST_US"
	done
done
measure_unload
recovery_peer_end
echo DONE
