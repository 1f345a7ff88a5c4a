#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What `make demo` runs in the guest: the packaged e1000e under SIDE, traffic through it, and an
# account of what happened. The status is 0 only if all of it worked.
. "$(dirname "$0")/lib.sh"

problems=0
say() { printf '%-9s%s\n' "$1" "$2"; }
wrong() {
	problems=$((problems + 1))
	say "WRONG" "$1"
}

say kernel "$(uname -r), unpatched: $(uname -v)"
insmod "$MODULE" driver="$E1000E" || wrong "insmod returned $?"
say driver "$E1000E"
say "" "sha256 $(sha256sum <"$E1000E" | cut -c1-16)..., vermagic $(modinfo -F vermagic "$E1000E" | cut -d' ' -f1)"
if lsmod | grep -q '^e1000e '; then wrong "e1000e is also loaded in the kernel"; fi

peer_up || wrong "the peer did not come up"
test_interface_up || wrong "no carrier"
say card "$NIC, $(cat "/sys/class/net/$NIC/address"), driver $(basename "$(readlink "/sys/class/net/$NIC/device/driver")")"

# Where the CPUs are while traffic flows, asked of the emulator from outside: a driver's code
# lies at an address where no program of this guest is.
observed_ring() {
	local n
	ping -q -f -c 3000 -s 1000 10.9.0.2 >/dev/null 2>&1 &
	for n in $(seq 300); do echo "info registers -a"; done | vm-monitor - |
		awk -v low="$DOMAIN_LOW" -v high="$DOMAIN_HIGH" '
			/^RIP=/ { rip = substr($1, 5); cpl = $0; sub(/.*CPL=/, "", cpl); cpl = substr(cpl, 1, 1)
				if (rip >= low && rip < high) { seen[cpl]++; n++ } }
			END { for (c in seen) printf "%d samples at CPL %s; ", seen[c], c; exit !n }'
	local status=$?
	kill %% 2>/dev/null
	wait
	return $status
}
# The image of a driver in its own address space: side_stubs/contract.rs, IMAGE_BASE.
DOMAIN_LOW=0000000020000000 DOMAIN_HIGH=0000000024000000
if observed=$(observed_ring) && [ "${observed#*CPL [012]}" = "$observed" ]; then
	say ring "the driver's code runs at CPL 3 (the emulator's view: ${observed%; })"
else
	wrong "the emulator did not see the driver's code at CPL 3: ${observed:-not seen at all}"
fi

if pings=$(ping -q -c 100 -i 0.01 10.9.0.2); then
	say ping "$(echo "$pings" | sed -n 's/ packets transmitted, \([0-9]*\) received.*/ sent, \1 received/p')"
else
	wrong "ping: $(echo "$pings" | grep transmitted)"
fi
say "" "$(echo "$pings" | tail -n 1)"

megabytes=16 bytes=$((16 << 20))
for way in there here; do
	began=$(date +%s%N)
	if send_file $bytes $way; then
		took=$((($(date +%s%N) - began) / 1000000))
		say tcp "$megabytes MB $([ $way = there ] && echo "to the peer" || echo "from the peer") in $took ms, checksums equal"
	else
		wrong "tcp: the file came through with another content, or not at all ($way)"
	fi
done

[ "$(cat $SIDE/e1000e/state)" = running ] || wrong "state: $(cat $SIDE/e1000e/state)"
[ "$(cat $SIDE/e1000e/last_fault)" = none ] || wrong "fault: $(cat $SIDE/e1000e/last_fault)"

echo
echo "crossings into the driver (upcalls):"
awk '$1 == "upcall" { printf "  %10d  %s\n", $3, $2 }' $SIDE/e1000e/crossings | sort -rn
echo "crossings into the kernel (imports):"
awk '$1 == "import" { printf "  %10d  %s\n", $3, $2 }' $SIDE/e1000e/crossings | sort -rn
echo "the domain's memory, in bytes:"
sed 's/^/  /' $SIDE/e1000e/memory

rmmod side || wrong "rmmod returned $?"
[ ! -e "/sys/class/net/$NIC" ] || wrong "the interface outlived the module"
echo
if [ $problems = 0 ]; then echo "demo: everything worked"; else echo "demo: $problems wrong"; fi
[ $problems = 0 ]
