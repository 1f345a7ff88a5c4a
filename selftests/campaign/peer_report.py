# SPDX-License-Identifier: GPL-2.0
"""How many datagrams came to the campaign's peer changed, since it was asked last.

Runs beside the emulator for the guest (vm-monitor '!peer_report').
"""

import sys

try:
    with open("/mnt/vm/peer.report", "r+b") as report:
        print(report.read().count(b"\n"), end="")
        report.truncate(0)
except OSError as error:
    sys.exit(f"Error: {error}")
