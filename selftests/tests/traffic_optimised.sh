#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# traffic.sh in the optimised mode.
# timeout: 800
# again: a host that stalls can lose datagrams and delay answers
# vm: --smp 2 --nic e1000e,net=hub --nic e1000,net=hub
export MODE=optimised MEGABYTES=${MEGABYTES:-16}
. "$(dirname "$0")/traffic.sh"
