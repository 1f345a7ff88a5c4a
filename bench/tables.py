# SPDX-License-Identifier: GPL-2.0
"""Tables of the parts `crossing`, `domains` and `gains`, for report.py."""

import statistics

MODES = ("native", "base", "optimised")
MACHINES = {"fsgsbase": "FSGSBASE", "nofsgsbase": "without FSGSBASE", "pti": "page-table isolation"}
# What a group is called, and the sums that end with it.
GROUPS = {
    "enter": "enter",
    "ring 3": "in ring 3",
    "leave": "leave",
    "state": "further state, kept apart",
    "rust": "the Rust around it",
    "hand-on": "handing on",
    "loop": "the loop of the test",
    "none": "unknown",
}
BARE = ("enter", "ring 3", "leave")


def of(results, part):
    """The results of one part."""
    return [result for result in results if result.get("part") == part]


def row(words):
    """A line of a table."""
    return "| " + " | ".join(str(word) for word in words) + " |"


def crossing(results):
    """The steps of a bare crossing, by machine."""
    results = of(results, "crossing")
    steps = [result for result in results if "step" in result]
    if not steps:
        return []
    machines = [machine for machine in MACHINES if any(r["machine"] == machine for r in steps)]
    counts, order = {}, {}
    for result in steps:
        key = (result["group"], result["step"])
        counts[key, result["machine"]] = result["instructions"]
        order.setdefault(result["group"], {}).setdefault(result["step"], None)

    def total(groups):
        return [sum(count for ((group, _), name), count in counts.items()
                    if group in groups and name == machine) for machine in machines]

    lines = ["Instructions of a bare crossing by step, from an executed trace:", "",
             row(["step"] + [MACHINES[machine] for machine in machines]),
             "|---|" + "---:|" * len(machines)]
    for group, title in GROUPS.items():
        if group not in order:
            continue
        if group == "state":
            lines.append(row(["**bare crossing**"] + [f"**{n}**" for n in total(BARE)]))
        lines.append(row([f"*{title}*"] + [f"*{n}*" for n in total((group,))]))
        for step in order[group]:
            lines.append(row([step] + [counts.get(((group, step), machine), 0)
                                       for machine in machines]))
    sums = total(GROUPS)
    lines.append(row(["**all, by the trace**"] + [f"**{n}**" for n in sums]))
    # The run that the fewest timer interrupts came into.
    clocks = [min((r for r in results if "clock" in r and r["machine"] == machine),
                  key=lambda r: (r["interrupts"], r["clock"])) for machine in machines]
    lines.append(row(["by the clock, a crossing of 10,000"] + [f"{r['clock']:.1f}" for r in clocks]))
    lines.append(row(["difference"] + [f"{r['clock'] - n:+.1f}" for r, n in zip(clocks, sums)]))
    lines.append(row(["timer interrupts in the 10,000"] + [r["interrupts"] for r in clocks]))
    return lines + [""]


def memory_table(results):
    """The largest memory of a domain, by mode and number of domains."""
    kinds = ("fixed", "heap", "coherent", "stacks", "total")
    found = {}
    for result in results:
        if "memory" in result:
            found.setdefault((result["mode"], result["active"]), []).append(result["memory"])
    if not found:
        return []
    lines = ["Memory of a domain in KiB, of the one that has most:", "",
             row(["mode", "domains", *kinds, "of the one that has least"]),
             "|---|" + "---:|" * (len(kinds) + 2)]
    for (mode, active), domains in found.items():
        most = max(domains, key=lambda memory: memory["total"])
        least = min(domains, key=lambda memory: memory["total"])
        lines.append(row([mode, active] + [f"{most[kind] / 1024:,.0f}" for kind in kinds]
                         + [f"{least['total'] / 1024:,.0f}"]))
    return lines + [""]


def domains(results, crossings):
    """Instructions and crossings a packet with several instances at work at once."""
    results = of(results, "domains")
    cells, together = {}, 100
    for result in results:
        if result.get("repeat"):
            key = (result["workload"], result["frame"], result["active"])
            cells.setdefault(key, {}).setdefault(result["mode"], []).append(result)
            together = min(together, result["together"])
    if not cells:
        return []

    def mean(values):
        return statistics.mean(r["instructions"] / r["packets"] for r in values)

    present = [mode for mode in MODES if any(mode in modes for modes in cells.values())]
    others = [mode for mode in present if mode != "native"]
    head = ["workload", "frame", "active"] + present
    for mode in others:
        head += [f"{mode} - native", f"crossings {mode}"]
    lines = ["Instructions a packet, both ends counted, with several instances at work at once:", "",
             row(head + ["spread"]), "|---|" + "---:|" * len(head)]
    for (workload, frame, active), modes in cells.items():
        words = [workload, frame, active]
        words += [f"{mean(modes[mode]):,.0f}" if mode in modes else "-" for mode in present]
        for mode in others:
            if mode in modes and "native" in modes:
                crossed = statistics.mean(crossings(r) for r in modes[mode])
                words += [f"{mean(modes[mode]) - mean(modes['native']):+,.0f}", f"{crossed:.2f}"]
            else:
                words += ["-", "-"]
        spreads = []
        for values in modes.values():
            each = [r["instructions"] / r["packets"] for r in values]
            spreads.append((max(each) - min(each)) / statistics.mean(each))
        lines.append(row(words + [f"{max(spreads) * 100:.2f} %"]))
    lost = sum(r["lost"] for modes in cells.values() for values in modes.values() for r in values)
    lines += ["", f"Packets lost in all of these: {lost}. All flows of a window were under way at once for at "
              f"least {together} % of it.", ""]
    return lines + memory_table(results)


def gains(results, crossings):
    """What each optimisation is worth, in instructions and crossings a packet."""
    results = of(results, "gains")
    cells = {}
    for result in results:
        key = (result["setting"], result["optimisation"])
        cells.setdefault(key, {}).setdefault((result["workload"], result["frame"]), []).append(result)
    if ("optimised", "") not in cells or ("base", "") not in cells:
        return []
    loads = list(cells["optimised", ""])

    def figures(values):
        return (statistics.mean(r["instructions"] / r["packets"] for r in values),
                statistics.mean(crossings(r) for r in values))

    def line(title, parts):
        return row([title] + [cells[0] for cells in parts] + [cells[1] for cells in parts])

    lines = []
    for setting, reference, title in (
            ("missing", "optimised", "Missing from the optimised mode, less the optimised mode"),
            ("alone", "base", "Alone in the base mode, less the base mode")):
        base = {load: figures(values) for load, values in cells[reference, ""].items()}
        head = [f"{workload} {frame}" for workload, frame in loads]
        lines += [f"{title}; instructions a packet, then crossings a packet:", "",
                  row(["optimisation"] + head + [f"crossings, {name}" for name in head]),
                  "|---|" + "---:|" * (2 * len(loads))]
        lines.append(line(f"({reference})", [(f"{base[load][0]:,.0f}", f"{base[load][1]:.2f}")
                                             for load in loads]))
        for (what, name), measured in cells.items():
            if what != setting:
                continue
            parts = []
            for load in loads:
                instructions, crossed = figures(measured[load])
                parts.append((f"{instructions - base[load][0]:+,.0f}",
                              f"{crossed - base[load][1]:+.2f}"))
            lines.append(line(f"`{name}`", parts))
        spreads = []
        for load in loads:
            each = [r["instructions"] / r["packets"] for r in cells[reference, ""][load]]
            spreads.append((f"{max(each) - min(each):,.0f}", ""))
        lines += [line("(between two loads of the same)", spreads), ""]
    return lines
