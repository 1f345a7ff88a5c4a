#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# NMIs at every instruction of the switch, while both CPUs cross rings without a pause. The
# emulator's gdb stub stops a CPU before an instruction, the NMI is sent there, and what was there
# before must be there after it (selftests/switcher/step.py).
# Then a second NMI at every instruction of the code that handles the first, and a double fault.
#   STEP_MODES       of: nmi nested df mce
#   STEP_ROUNDS=N    so many NMIs at each instruction and CPU
#   STEP_EVERY=N     of the Rust code around the assembly only each Nth instruction
#   STEP_STRIDE=N    machine checks at each Nth instruction of the assembly
#   STEP_MOST=N      so many instructions of the assembly in one crossing
#   SWITCHER_TESTS   first these tests of the switcher: NAME[:SECONDS]..., all for all
# vm: --smp 2 --nic none --gdb --append apic_extnmi=all
# timeout: 800
. "$(dirname "$0")/../lib.sh"
ktap

insmod /side/build/selftest/side_selftest.ko || exit 1
dmesg -n 1
switcher=/side/build/selftest/switcher
counts=$($switcher counts | sed -n 's/^counts //p' | paste -sd,)
symbol() { awk -v name="$1" '$3 == name && $4 == "[side_selftest]" { print $1 }' /proc/kallsyms; }
text=$(cat /sys/module/side_selftest/sections/.text)
code=$(printf '%x-%x' $((text)) $((text + 65536)))
for tests in ${SWITCHER_TESTS:-}; do check "the switcher's tests: $tests" $switcher ${tests/:/ }; done
echo "# text $text"
$switcher gates 100000 >/tmp/gates &
gates=$!
sleep 1

# step MODE ARGUMENT...: its results are this test's.
step() {
	vm-monitor "!step $1 enter=$(symbol side_switch_enter) start=$(symbol side_switch_text_start)" \
		"end=$(symbol side_switch_text_end) counts=$counts code=$code first=$((number + 1))" \
		"fatal=$(symbol side_switch_fatal)" "${@:2}" >/tmp/step
	cat /tmp/step
	number=$((number + $(grep -cE '^(not )?ok ' /tmp/step)))
	failures=$((failures + $(grep -cE '^not ok |^Traceback|^Error' /tmp/step)))
	grep -q '^ok ' /tmp/step || failures=$((failures + 1))
}
for mode in ${STEP_MODES:-nmi nested df}; do
	step "$mode" "rounds=${STEP_ROUNDS:-8}" "every=${STEP_EVERY:-8}" "limit=${STEP_LIMIT:-150}" "most=${STEP_MOST:-110}" \
		"stride=${STEP_STRIDE:-1}"
done
check "the crossings go on" kill -0 $gates
kill -TERM $gates
wait $gates
check "the log is clean" bash -c '! dmesg | grep -E "WARNING:|BUG:|Oops|Kernel panic|mce:.*panic"'
rmmod side_selftest
finish
