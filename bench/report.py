#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes results.json, table.md and plots of what the machines of scripts/bench said.

usage: report.py RAW_FOLDER OUT_FOLDER
Every figure comes from a "RESULT {...}" line of a raw log; what is missing there is missing here.
"""

import glob
import json
import os
import random
import re
import statistics
import sys

import tables

MODES = ("native", "base", "optimised")
COLOURS = {"native": "#777777", "base": "#c44e52", "optimised": "#4c72b0"}


def read(folder):
    """All results, each with the unit it came from; the keys; what was skipped."""
    results, keys, skipped = [], {}, []
    for path in sorted(glob.glob(f"{folder}/*.log")):
        unit = os.path.basename(path)[:-4]
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("KEY "):
                    keys[unit] = line[4:].strip()
                elif line.startswith("RESULT {"):
                    results.append({"unit": unit, **json.loads(line[7:])})
                elif line.startswith("SKIP "):
                    text = f"{unit}: {line[5:].strip()}"
                    if text not in skipped:
                        skipped.append(text)
    return results, keys, skipped


def crossings(result):
    """Calls into the driver and calls of the kernel that crossed, a packet."""
    total = sum(count for name, count in result["crossings"].items()
                if name.split()[0] in ("upcall", "import"))
    return total / result["crossings_packets"]


def icount(results):
    """(iommu, workload, frame) -> mode -> instructions and crossings a packet over the repeats."""
    table = {}
    for result in results:
        if not result["unit"].startswith("icount-"):
            continue
        key = (result["unit"][7:], result["workload"], result["frame"])
        cell = table.setdefault(key, {}).setdefault(
            result["mode"], {"instructions": [], "crossings": [], "lost": 0})
        cell["instructions"].append(result["instructions"] / result["packets"])
        cell["crossings"].append(crossings(result))
        cell["lost"] += result["lost"]
    for modes in table.values():
        for cell in modes.values():
            values = cell["instructions"]
            cell["mean"] = statistics.mean(values)
            cell["spread"] = (max(values) - min(values)) / cell["mean"]
            cell["crossings"] = statistics.mean(cell["crossings"])
    # The peer's share of a receive flood is measured alone, and taken off.
    for (iommu, workload, frame), modes in list(table.items()):
        peer = table.get((iommu, "peer-tx", frame), {})
        if workload != "flood-rx":
            continue
        own = {mode: {**cell, "mean": cell["mean"] - peer[mode]["mean"]}
               for mode, cell in modes.items() if mode in peer}
        if own:
            table[(iommu, "flood-rx, receiver alone", frame)] = own
    return table


def icount_table(table):
    """The Markdown of the counts."""
    lines = []
    for iommu in sorted({key[0] for key in table}, reverse=True):
        present = [mode for mode in MODES
                   if any(mode in modes for key, modes in table.items() if key[0] == iommu)]
        others = [mode for mode in present if mode != "native"]
        name = "no IOMMU" if iommu == "none" else f"{iommu} IOMMU, strict"
        lines += [f"Instructions a packet (a transaction for rr), {name}:", ""]
        head = ["workload", "frame"] + present
        for mode in others:
            head += [f"{mode} - native", f"{mode} / native", f"crossings {mode}"]
        lines.append("| " + " | ".join(head + ["spread"]) + " |")
        lines.append("|---|" + "---:|" * len(head))
        for (which, workload, frame), modes in sorted(table.items()):
            if which != iommu:
                continue
            row = [workload, str(frame)]
            row += [f"{modes[mode]['mean']:,.0f}" if mode in modes else "-" for mode in present]
            for mode in others:
                if mode in modes and "native" in modes:
                    difference = modes[mode]["mean"] - modes["native"]["mean"]
                    row += [f"{difference:+,.0f}",
                            f"{modes[mode]['mean'] / modes['native']['mean']:.2f}",
                            f"{modes[mode]['crossings']:.2f}"]
                else:
                    row += ["-", "-", "-"]
            row.append(f"{max(cell['spread'] for cell in modes.values()) * 100:.2f} %")
            lines.append("| " + " | ".join(row) + " |")
        lost = sum(cell["lost"] for key, modes in table.items() if key[0] == iommu
                   for cell in modes.values())
        lines += ["", f"Packets lost in all of these: {lost}. Spread: between the repeats, the widest mode.", ""]
    return lines


def interval(values):
    """The 95 % interval of the median, by bootstrap with a fixed seed."""
    source = random.Random(1)
    medians = sorted(statistics.median(source.choices(values, k=len(values))) for _ in range(2000))
    return medians[50], medians[1949]


def wall(results):
    """(part, metric) -> mode -> ratios to native of the same round, and CPU shares."""
    rounds = {}
    for result in results:
        if "round" in result:
            rounds.setdefault((result["part"], result["metric"], result["round"]), {})[
                result["mode"]] = result
    table = {}
    for (part, metric, _), modes in sorted(rounds.items()):
        if "native" not in modes:
            continue
        for mode, result in modes.items():
            if not modes["native"]["value"]:
                continue
            cell = table.setdefault((part, metric), {}).setdefault(
                mode, {"ratios": [], "values": [], "cpu": [], "unit": result["unit"]})
            cell["ratios"].append(result["value"] / modes["native"]["value"])
            cell["values"].append(result["value"])
            cell["cpu"].append(result["cpu"])
    for modes in table.values():
        for cell in modes.values():
            cell["median"] = statistics.median(cell["ratios"])
            cell["interval"] = interval(cell["ratios"])
    return table


def wall_table(table, title):
    """The Markdown of what is given as ratios."""
    lines = [title, "",
             "| part | metric | mode | rounds | median ratio | min to max | 95 % interval | median value | CPU |",
             "|---|---|---|---:|---:|---:|---:|---:|---:|"]
    for (part, metric), modes in table.items():
        for mode in MODES:
            if mode not in modes:
                continue
            cell = modes[mode]
            low, high = cell["interval"]
            lines.append(
                f"| {part} | {metric} | {mode} | {len(cell['ratios'])} | {cell['median']:.2f} | "
                f"{min(cell['ratios']):.2f} to {max(cell['ratios']):.2f} | {low:.2f} to {high:.2f} | "
                f"{statistics.median(cell['values']):,.0f} {cell['unit']} | "
                f"{statistics.median(cell['cpu']) * 100:.0f} % |")
    return lines + [""]


def plot(counts, walls, out):
    """Bars of the counts, and of the ratios with their spread."""
    import matplotlib
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "side"
    # Text as text: half the size.
    matplotlib.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot

    def bars(name, title, axis, labels, values, errors=None):
        figure, axes = pyplot.subplots(figsize=(max(6, 0.8 * len(labels)), 4.5))
        present = [mode for mode in MODES if any(v is not None for v in values[mode])]
        width = 0.8 / max(1, len(present))
        for place, mode in enumerate(present):
            xs = [x + place * width for x, v in enumerate(values[mode]) if v is not None]
            ys = [v for v in values[mode] if v is not None]
            spread = [e for e in errors[mode] if e is not None] if errors else None
            axes.bar(xs, ys, width, label=mode, color=COLOURS[mode],
                     yerr=list(zip(*spread)) if spread else None, capsize=2)
        axes.set_xticks([x + 0.4 - width / 2 for x in range(len(labels))], labels,
                        rotation=40, ha="right")
        axes.set(title=title, ylabel=axis)
        axes.legend()
        figure.tight_layout()
        figure.savefig(f"{out}/{name}.svg", metadata={"Date": None})
        with open(f"{out}/{name}.svg", "r+", encoding="utf-8") as file:
            # A path on one line.
            text = re.sub(r"\s*\n(?=[MLz\"])", " ", file.read())
            file.seek(0)
            file.truncate()
            file.write(text)
        figure.savefig(f"{out}/{name}.png", dpi=120)
        pyplot.close(figure)

    for iommu in sorted({key[0] for key in counts}):
        for name, wanted in (("packet", lambda w: not w.endswith("-rr")),
                             ("transaction", lambda w: w.endswith("-rr"))):
            keys = [key for key in sorted(counts) if key[0] == iommu and wanted(key[1])
                    and key[1] != "peer-tx"]
            if keys:
                bars(f"icount-{iommu}-{name}", f"Instructions a {name}, IOMMU: {iommu}",
                     f"instructions a {name}", [f"{key[1]}\n{key[2]} B" for key in keys],
                     {mode: [counts[key].get(mode, {}).get("mean") for key in keys]
                      for mode in MODES})
    for part in sorted({key[0] for key in walls}):
        keys = [key for key in walls if key[0] == part]
        def cell(key, mode):
            return walls[key].get(mode)
        bars(f"wall-{part}", f"Ratio to native, wall clock: {part}", "ratio to native",
             [key[1] for key in keys],
             {mode: [cell(k, mode)["median"] if cell(k, mode) else None for k in keys]
              for mode in MODES},
             {mode: [(cell(k, mode)["median"] - min(cell(k, mode)["ratios"]),
                      max(cell(k, mode)["ratios"]) - cell(k, mode)["median"])
                     if cell(k, mode) else None for k in keys] for mode in MODES})


def main():
    """Reads, computes, writes."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    raw, out = sys.argv[1:]
    results, keys, skipped = read(raw)
    if not results:
        sys.exit("report: the raw logs hold no result")
    with open("/var/lib/side/release", encoding="ascii") as file:
        release = file.read().strip()
    version = os.popen("qemu-system-x86_64 --version").readline().strip()
    counts, walls = icount(results), wall(results)
    with open(f"{out}/results.json", "w", encoding="utf-8") as file:
        json.dump({"kernel": release, "emulator": version, "units": keys, "skipped": skipped,
                   "results": results}, file, indent=1)
        file.write("\n")
    lines = [f"Kernel {release}, {re.sub(r' .Debian.*', '', version)} without hardware virtualisation.", ""]
    if counts:
        lines += icount_table(counts)
    lines += tables.crossing(results) + tables.domains(results, crossings) + tables.gains(results, crossings)
    counted = {key: modes for key, modes in walls.items() if key[0] == "recovery"}
    clocked = {key: modes for key, modes in walls.items() if key[0] != "recovery"}
    if counted:
        lines += wall_table(counted, "Time until the peer answers again, counted in instructions, ratio to native in "
                            "the same round:")
    if clocked:
        lines += wall_table(clocked, "Wall clock, ratio to native in the same round:")
    lines += [f"Not measured: {text}" for text in skipped]
    with open(f"{out}/table.md", "w", encoding="utf-8") as file:
        file.write("\n".join(lines).rstrip() + "\n")
    plot(counts, walls, out)


if __name__ == "__main__":
    main()
