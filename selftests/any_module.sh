#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Whatever packaged module of drivers/net is offered, SIDE either runs its init function in ring 3 or
# refuses it with a line in the log that names the file, and nothing is left behind either way.
# EVERY=1 tries all of them (some hundred; minutes), the default is each 20th.
# Not a part of make test: scripts/vm --strict --smp 2 --nic e1000e,net=hub --nic e1000,net=hub --timeout 1200 -- bash /side/selftests/any_module.sh
. "$(dirname "$0")/lib.sh"
ktap
EVERY=${EVERY:-20}

domains() {
	find "$SIDE" -mindepth 1 -maxdepth 1 -type d ! -name optimisations | sort
}

# Blocks of kernel memory that the module holds by vmalloc, stacks of tasks aside.
blocks() {
	grep -vc "stack\|fork" /proc/vmallocinfo
}

# offer PATH: one module; prints what went wrong.
offer() {
	local path=$1 name
	name=$(basename "$path" | sed 's/\.ko.*//')
	dmesg -C
	if echo "$path" >"$SIDE/load" 2>/dev/null; then
		loaded=$((loaded + 1))
		name=$(domains | head -n 1)
		[ -n "$name" ] || { echo "$path: loaded, and there is no domain"; return 1; }
		[ "$(cat "$name/state")" = running ] || { echo "$path: dead after its init function"; dmesg | head -n 4; }
		basename "$name" >"$SIDE/unload" || { echo "$path: cannot be unloaded"; return 1; }
	else
		refused=$((refused + 1))
		dmesg | grep -qF "$name" || dmesg | grep -qF "$(tr - _ <<<"$name")" || {
			echo "$path: refused without a word"
			return 1
		}
	fi
	[ -z "$(domains)" ] || { echo "$path: left $(domains)"; return 1; }
}

insmod "$MODULE" || { echo "Bail out! the module does not load"; exit 1; }
loaded=0 refused=0 n=0 bad=""
offer "$E1000E" >/dev/null
offer /nonexistent.ko >/dev/null 2>&1
before=$(blocks)
for path in $(find "$MODULES/drivers/net" -name '*.ko*' | sort); do
	n=$((n + 1))
	[ $((n % EVERY)) -eq 0 ] || continue
	result=$(offer "$path"; echo "$? $loaded $refused")
	status=${result##*$'\n'}
	# The counts were counted in a subshell.
	loaded=$(cut -d' ' -f2 <<<"$status") refused=$(cut -d' ' -f3 <<<"$status")
	[ "${status%% *}" = 0 ] || bad+="${result%$'\n'*}"$'\n'
	[ "$result" = "$status" ] || sed '$d;s/^/# /' <<<"$result"
done
after=$(blocks)
echo "# of $n modules: $loaded ran, $refused were refused; vmalloc blocks $before before, $after after"
check "some ran" [ "$loaded" -gt 0 ]
check "some were refused" [ "$refused" -gt 0 ]
check "each was loaded and unloaded, or refused with a message" test -z "$bad"
check "no memory is left" [ "$after" -le $((before + 4)) ]
check "module unloads" rmmod side
finish
