"""The figures of the delta benchmark as Markdown and as a drawing (SVG, written by hand: no library is needed)."""

import os
from statistics import median

from delta_models import TYPES

WORDS = {"gentle": "fine-tuned, AdamW, rate 1e-6", "usual": "fine-tuned, AdamW, rate 1e-5",
         "strong": "fine-tuned, AdamW, rate 1e-4", "adam-no-decay": "fine-tuned, Adam without decay",
         "head-only": "only the last layer", "last-layers": "the last two layers", "pruned-80": "80 % pruned, fine-tuned",
         "retrained": "trained anew from another seed"}
TYPE_WORDS = {"fp32": "fp32", "fp16": "fp16", "bf16": "bf16", "int8-own": "int8, own scales", "int8-frozen": "int8, frozen scales"}
NETWORKS = {"mlp": "multilayer network", "cnn": "convolutional network", "wide": "wide multilayer network"}  # that are drawn
OURS, PEER, TEXT, LINE = "#1f6feb", "#b8bfc9", "#57606a", "#d0d7de"  # readable on white and on dark pages
PANEL, LABEL, TOP, ROW = 150, 210, 64, 38


def lines_of(results):
    """(net, pair, container) in order, each with its results by type; pairs stand in the order of WORDS."""
    lines, nets = {}, list(dict.fromkeys((r["cell"][0], r["cell"][3]) for r in results))
    for r in sorted(results, key=lambda r: (nets.index((r["cell"][0], r["cell"][3])), list(WORDS).index(r["cell"][1]))):
        net, pair, kind, container = r["cell"]
        lines.setdefault((net, pair, container), {})[kind] = r
    return lines


def share_table(results):
    out = ["| network, file | what was done to the model | " + " | ".join(TYPE_WORDS[kind] for kind in TYPES) + " |", "|---|---|" + "---|" * len(TYPES)]
    for (net, pair, container), by_type in lines_of(results).items():
        texts = []
        for kind in TYPES:
            r = by_type.get(kind)
            texts.append("-" if r is None else f"{100 * r['ours']['bytes'] / r['plain']:.1f} %; **{r['share']:.2f}** of {r['best']}")
        out.append(f"| {net}, {container} | {WORDS[pair]} | " + " | ".join(texts) + " |")
    return "\n".join(out)


def tool_table(results):
    """Each tool over all cells: geometric means would hide what was left out, so medians, and how often."""
    names = ["drover"] + sorted({name for r in results for name in r["peers"]})
    out = ["| tool | delta, share of the file | make, MB/s | apply, MB/s | most memory, make | most memory, apply | cells left out |",
           "|---|---:|---:|---:|---:|---:|---:|"]
    for name in names:
        rows = [(r["plain"], r["ours"] if name == "drover" else r["peers"].get(name, {})) for r in results]
        there = [(plain, f) for plain, f in rows if "bytes" in f]
        if not there:
            continue
        rate = {verb: median(plain / 1e6 / max(f[verb + "_s"], 0.005) for plain, f in there) for verb in ("make", "apply")}
        share = 100 * sum(f["bytes"] for _, f in there) / sum(plain for plain, _ in there)
        out.append(f"| {name} | {share:.1f} % | {rate['make']:.1f} | {rate['apply']:.0f} | {max(f['make_mib'] for _, f in there):.0f} MiB | "
                   f"{max(f['apply_mib'] for _, f in there):.0f} MiB | {len(rows) - len(there) or '-'} |")
    return "\n".join(out)


def rows_table(rows):
    out = ["| what | unit | ours | peer | peer's name | ratio | goal |", "|---|---|---:|---:|---|---:|---:|"]
    for r in rows:
        values = (r["what"], r["unit"], r["ours"], r["peer"], r["peer_name"], r["ratio"], r["goal"])
        out.append("| " + " | ".join("-" if v in (None, "") else f"{v:,}" if isinstance(v, int) else str(v) for v in values) + " |")
    return "\n".join(out)


def text(x, y, words, anchor="start", size=12, colour=TEXT, weight="normal"):
    return (f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
            f'fill="{colour}">{words}</text>')


def bar(x, y, share, colour):
    return f'<rect x="{x}" y="{y}" width="{max(share, 0.004) * (PANEL - 24):.1f}" height="11" rx="1.5" fill="{colour}"/>'


def drawing(results):
    """Bytes sent as a share of the new file: ours over the best peer's, one panel for each element type, by network."""
    lines = []  # words, results by type
    for (net, pair, container), by_type in lines_of(results).items():
        if net not in NETWORKS or container != "onnx":
            continue
        if not lines or lines[-1][2] != net:
            lines.append((NETWORKS[net], {}, net))
        lines.append((WORDS[pair], by_type, net))
    width, height = LABEL + PANEL * len(TYPES) + 8, TOP + ROW * len(lines) + 30
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
           f'<rect x="8" y="8" width="12" height="12" fill="{OURS}"/>', text(26, 18, "drover delta"),
           f'<rect x="118" y="8" width="12" height="12" fill="{PEER}"/>',
           text(136, 18, "the best of zstd, xdelta3, bsdiff, casync and HDiffPatch; share of the new file's bytes")]
    for panel, kind in enumerate(TYPES):
        left = LABEL + panel * PANEL
        out.append(text(left, TOP - 18, TYPE_WORDS[kind], weight="bold"))
        for share in (0, 0.5, 1):
            x = left + share * (PANEL - 24)
            out.append(f'<line x1="{x:g}" y1="{TOP - 8}" x2="{x:g}" y2="{height - 24}" stroke="{LINE}"/>')
            out.append(text(x, height - 8, f"{100 * share:.0f} %", {0: "start", 0.5: "middle", 1: "end"}[share], 10))
        out += [part for i, (_, by_type, _) in enumerate(lines) if kind in by_type
                for part in bars_of(by_type[kind], left, TOP + i * ROW)]
    out += [text(8, TOP + i * ROW + 15, words, weight="normal" if by_type else "bold") for i, (words, by_type, _) in enumerate(lines)]
    return "\n".join(out) + "\n</svg>\n"


def bars_of(result, left, y):
    ours, peer = (n / result["plain"] for n in (result["ours"]["bytes"], result["peers"][result["best"]]["bytes"]))
    return [bar(left, y, ours, OURS), bar(left, y + 12, peer, PEER),
            text(left + ours * (PANEL - 24) + 4, y + 9.5, f"{100 * ours:.1f}", size=10)]


def write(folder, results, rows):
    """report.md and deltas.svg, from which docs/BENCHMARKS.md is made."""
    others = [r for r in rows if "figures" not in r]
    report = "\n\n".join([share_table(results), tool_table(results), rows_table(others)])
    for name, content in (("report.md", report + "\n"), ("deltas.svg", drawing(results))):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(content)
