#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In the guest, on a machine whose time counts instructions: what each optimisation is worth. Each is taken away
# from the optimised mode, and each is switched on by itself in the base mode, in a driver that was loaded for it:
# what an optimisation has mapped for good would help the next one.
#
# usage: gains.sh PACKETS [MODE...]      the modes are those of the other parts; this one knows its own
# prints "RESULT {...}" lines for scripts/bench
set -u
. /side/selftests/lib.sh
. /side/selftests/measure/lib.sh
packets=$1
LOADS=("pktgen-tx 60" "flood-rx 60" "tcp-tx 1514" "tcp-rx 1514" "udp-rr 60")
D=$SIDE/e1000e/optimisations

# all_loads SETTING NAME: the figures of a setting of the driver that is loaded.
all_loads() {
	local load count
	# Once around the rings.
	measure tcp-rx 1514 600 && measure tcp-tx 1514 600 || return 1
	for load in "${LOADS[@]}"; do
		count=$packets
		case $load in *-rr*) count=$((packets / 5)) ;; esac
		# shellcheck disable=SC2086 # a name and a size
		measure $load $count || return 1
		echo "RESULT {\"part\": \"gains\", \"setting\": \"$1\", \"optimisation\": \"$2\", $figure}"
	done
}

# setting SETTING NAME: loads the driver afresh and brings it there.
setting() {
	local base=base
	measure_unload
	case $1 in optimised | missing) base=optimised ;; esac
	measure_mode $base || return 1
	case $1 in
	missing) echo 0 >"$D/$2" && grep -qx 0 "$D/$2" ;;
	alone) echo 1 >"$D/$2" && grep -qx 1 "$D/$2" ;;
	esac || return 1
	all_loads "$1" "$2"
}

measure_peer || exit 1
setting optimised "" || exit 1
names=$(ls $D)
setting base "" || exit 1
for name in $names; do
	setting missing "$name" || exit 1
	setting alone "$name" || exit 1
done
# Again: how far two boots of the driver differ when nothing else does.
setting optimised "" || exit 1
setting base "" || exit 1
measure_unload
echo DONE
