#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Reads the JSON of one iperf3 client and prints the bits a second that were received.

Exit status 1, with iperf3's own message, when the run did not come to its end or carried nothing."""

import json
import sys


def received(report):
    """Received bits a second; UDP reports of older versions have one sum with the loss in it."""
    if report.get("error"):
        raise ValueError(report["error"])
    end = report["end"]
    if "sum_received" in end:
        value = end["sum_received"]["bits_per_second"]
    else:
        value = end["sum"]["bits_per_second"] * (1 - end["sum"]["lost_percent"] / 100)
    if value <= 0:
        raise ValueError("nothing was received")
    return value


try:
    print(received(json.load(sys.stdin)))
except (ValueError, KeyError) as error:
    print(f"no figure: {error}")
    sys.exit(1)
