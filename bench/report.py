"""Turns measurements into a table, a JSON file and an HTML page with a plot."""

import html
import json
import math

from measure import ratio_of, verdict_of

UNITS = {"server_cpu_ns": "CPU ns/msg", "p50_us": "p50 us", "p99_us": "p99 us"}
COLUMNS = ("row", "figure", "peer", "polylog", "ratio", "must", "aim", "verdict")


def number(value):
    if value is None:
        return "-"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def limit(goal, value):
    if value is None:
        return "-"
    return f"{'>=' if goal.sense == 'higher' else '<='} {value:g}"


def lines_of(row, peer, polylog):
    for goal in row.goals:
        unit = UNITS.get(goal.metric, row.rate_unit)
        yield {
            "row": row.name, "title": row.title, "figure": unit, "peer": peer.figure(goal.metric),
            "polylog": polylog.figure(goal.metric), "ratio": ratio_of(peer, polylog, goal.metric), "must": goal.must,
            "aim": goal.aim, "must_text": limit(goal, goal.must), "aim_text": limit(goal, goal.aim),
            "sense": goal.sense, "verdict": verdict_of(goal, peer, polylog),
        }


def cells(line):
    return (line["row"], line["figure"], number(line["peer"]), number(line["polylog"]), number(line["ratio"]),
            line["must_text"], line["aim_text"], line["verdict"])


def table(lines):
    rows = [COLUMNS, *map(cells, lines)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def details(results):
    """Rate, cost, latency and memory of both sides, also where no goal asks for them."""
    keys = ("rate", "server_cpu_ns", "p50_us", "p99_us", "p999_us", "rss_mb", "drift", "client_busy")
    out = []
    for row, peer, polylog in results:
        for name, side in (("peer", peer), ("polylog", polylog)):
            figures = "  ".join(f"{key} {number(side.figure(key))}" for key in keys if side.figure(key) is not None)
            state = f"  ({side.voided} void)" if side.voided else ""
            out.append(f"{row.name:12} {name:8} {figures or side.error or 'not run'}{state}")
    return "\n".join(out)


def write_json(path, name, machine, results, lines):
    path.write_text(json.dumps({
        "bench": name, "machine": machine, "goals": lines,
        "rows": [{"name": row.name, "title": row.title, "client": row.client,
                  "peer": vars(peer), "polylog": vars(polylog)} for row, peer, polylog in results],
    }, indent=1))


# ---- the plot: one bar a goal on a logarithmic axis of polylog / peer, with marks at must and aim ----

WIDTH, LABEL, BAR, GAP = 960, 330, 18, 10
COLOURS = {"aim": "#2a7f3f", "must": "#4f9fd8", "missed": "#c8472f"}


def colour(verdict):
    return COLOURS.get(verdict.split(",")[0].split(" ")[0], "#999999")


def plot(lines):
    shown = [line for line in lines if line["ratio"]]
    if not shown:
        return "<p>nothing was measured</p>"
    values = [value for line in shown for value in (line["ratio"], line["must"], line["aim"]) if value]
    low = math.floor(math.log10(min(*values, 0.5)))
    high = math.ceil(math.log10(max(*values, 2)))

    def x_of(value):
        return LABEL + (WIDTH - LABEL - 90) * (math.log10(value) - low) / (high - low)

    height = 30 + len(shown) * (BAR + GAP)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" '
             'font-size="12">']
    for power in range(low, high + 1):
        x = x_of(10**power)
        parts.append(f'<line x1="{x:.1f}" y1="18" x2="{x:.1f}" y2="{height}" stroke="#ddd"/>'
                     f'<text x="{x:.1f}" y="12" text-anchor="middle" fill="#666">{10**power:g}x</text>')
    for index, line in enumerate(shown):
        y = 24 + index * (BAR + GAP)
        begin, end = sorted((x_of(1), x_of(line["ratio"])))
        label = html.escape(f"{line['row']}: {line['figure']}")
        parts.append(f'<text x="{LABEL - 8}" y="{y + 13}" text-anchor="end">{label}</text>'
                     f'<rect x="{begin:.1f}" y="{y}" width="{max(1, end - begin):.1f}" height="{BAR}" '
                     f'fill="{colour(line["verdict"])}"/>'
                     f'<text x="{WIDTH - 80}" y="{y + 13}">{number(line["ratio"])}x</text>')
        for mark, dash in (("must", ""), ("aim", ' stroke-dasharray="3 2"')):
            if line[mark]:
                x = x_of(line[mark])
                parts.append(f'<line x1="{x:.1f}" y1="{y - 3}" x2="{x:.1f}" y2="{y + BAR + 3}" stroke="#000"{dash}/>')
    parts.append("</svg>")
    return "\n".join(parts)


def write_html(path, name, machine, lines):
    rows = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells(line)) + "</tr>" for line in lines)
    head = "".join(f"<th>{column}</th>" for column in COLUMNS)
    path.write_text(f"""<!doctype html><meta charset="utf-8"><title>bench {name}</title>
<style>body {{ font-family: sans-serif; margin: 2em }} td, th {{ padding: 2px 10px; text-align: left }}</style>
<h1>bench {html.escape(name)}</h1>
<p>{html.escape(machine)}. polylog / peer on a logarithmic axis; solid mark: must, dashed mark: aim.</p>
{plot(lines)}
<table><tr>{head}</tr>{rows}</table>
""")
