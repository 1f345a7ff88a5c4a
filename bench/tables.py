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
# Idle time in a window, in nanoseconds, that is no waiting for a card's moderation timer.
LONG_IDLE = 500_000_000
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
    clocks = [[r["clock"] for r in results if "clock" in r and r["machine"] == machine]
              for machine in machines]
    medians = [statistics.median(clock) if clock else None for clock in clocks]
    lines.append(row(["by the clock, a crossing of 10,000"]
                     + ["-" if n is None else f"{n:.1f}" for n in medians]))
    lines.append(row(["difference"] + ["-" if n is None else f"{n - m:+.1f}"
                                       for n, m in zip(medians, sums)]))
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
    cells, idle = {}, []
    for result in results:
        if result.get("repeat"):
            key = (result["workload"], result["frame"], result["active"])
            cells.setdefault(key, {}).setdefault(result["mode"], []).append(result)
            if result["idle"] >= LONG_IDLE:
                idle.append(f"{result['mode']} {result['workload']} with {result['active']} active "
                            f"{result['idle'] / 1e9:.1f} s")
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
             row(head + ["spread", "all at once"]), "|---|" + "---:|" * (len(head) + 1)]
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
        together = min(r["together"] for values in modes.values() for r in values)
        lines.append(row(words + [f"{max(spreads) * 100:.2f} %", f"{together} %"]))
    lost = sum(r["lost"] for modes in cells.values() for values in modes.values() for r in values)
    lines += ["", f"Packets lost in all of these: {lost}. All at once: the share of a window in which all flows were "
              "under way, the least of all modes and repeats. Windows in which the CPU was idle for "
              f"{LONG_IDLE / 1e9:.1f} s or more: {', '.join(idle) or 'none'}.", ""]
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
