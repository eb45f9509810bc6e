"""Judges the samples of a soak and draws them. Pure: samples in, verdicts and SVG out.

A sample is {"at": seconds since the begin, "rss_mb", "fds", "disk_mb", "kafka_p99_ms", "amqp_p99_ms"}; a latency may be
None. Restarts happen in the first half. The second half is left alone and judged: a trend is what its last part is
above its first.
"""
import html
from dataclasses import dataclass
from statistics import median

RSS_GROWTH = (0.05, 8)      # share of the earlier value, and MiB on top
FDS_GROWTH = (0.05, 4)
P99_GROWTH = (0.5, 3)       # clients share the machine: their latency is noisy
DISK_GROWTH = (0.10, 4)


@dataclass
class Verdict:
    property: str
    is_good: bool
    why: str

    def __str__(self):
        return f"{'good' if self.is_good else 'MISSED':6}  {self.property}: {self.why}"


def second_half(samples, key):
    """(values of the third quarter, values of the fourth) by time."""
    end = max(sample["at"] for sample in samples)
    values = [(sample["at"], sample[key]) for sample in samples if sample[key] is not None]
    return ([v for at, v in values if end / 2 <= at < end * 3 / 4], [v for at, v in values if at >= end * 3 / 4])


def flat(samples, key, unit, growth):
    earlier, later = second_half(samples, key)
    if not earlier or not later:
        return Verdict(key, False, "too few samples")
    share, slack = growth
    before, after, limit = median(earlier), median(later), median(earlier) * (1 + share) + slack
    return Verdict(key, after <= limit, f"{before:.3g} {unit} in the third quarter, {after:.3g} in the fourth, "
                                        f"limit {limit:.3g} (+{share:.0%} +{slack} {unit})")


def below(samples, key, unit, limit, what):
    most = max(max(part) for part in second_half(samples, key))
    return Verdict(f"{key} bound", most <= limit,
                   f"at most {most:.3g} {unit} in the second half, {what} allows {limit:.3g}")


def verdicts(samples, disk_limit_mb, disk_what):
    return [
        flat(samples, "rss_mb", "MiB", RSS_GROWTH), flat(samples, "fds", "descriptors", FDS_GROWTH),
        flat(samples, "kafka_p99_ms", "ms", P99_GROWTH), flat(samples, "amqp_p99_ms", "ms", P99_GROWTH),
        flat(samples, "disk_mb", "MiB", DISK_GROWTH), below(samples, "disk_mb", "MiB", disk_limit_mb, disk_what)]


# ---- the plot: one panel a figure, one above the other, over the same time

WIDTH, PANEL, LEFT, RIGHT, TOP = 960, 130, 70, 20, 44
PANELS = (("rss_mb", "resident memory, MiB", "#2a7f3f"), ("fds", "descriptors", "#7a4fb0"),
          ("disk_mb", "disk used, MiB", "#4f6fd8"), ("kafka_p99_ms", "Kafka produce p99, ms", "#c8472f"),
          ("amqp_p99_ms", "AMQP confirm p99, ms", "#d08a1f"))


def panel(samples, key, title, colour, top, end):
    values = [(sample["at"], sample[key]) for sample in samples if sample[key] is not None]
    most = max((value for _, value in values), default=1) * 1.1 or 1
    bottom = top + PANEL - 26

    def place(at, value):
        return f"{LEFT + (WIDTH - LEFT - RIGHT) * at / end:.1f},{bottom - (PANEL - 46) * value / most:.1f}"
    parts = [f'<text x="{LEFT}" y="{top + 12}" fill="{colour}">{html.escape(title)}</text>']
    for share in (0, 0.5, 1):
        y = bottom - (PANEL - 46) * share
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#ddd"/>'
                     f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#666">{most * share:.3g}</text>')
    points = " ".join(place(at, value) for at, value in values)
    parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    return parts


def plot(samples, restarts, title):
    """`restarts`: [(seconds, how)]."""
    end = max(sample["at"] for sample in samples)
    height = TOP + PANEL * len(PANELS) + 20
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" '
             f'font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
             f'<text x="{LEFT}" y="18">{html.escape(title)}</text>'
             f'<text x="{LEFT}" y="34" fill="#666">dashed: restart or kill -9; shaded: the half that is judged</text>']
    scale = (WIDTH - LEFT - RIGHT) / end
    parts.append(f'<rect x="{LEFT + scale * end / 2:.1f}" y="{TOP}" width="{scale * end / 2:.1f}" '
                 f'height="{height - TOP - 20}" fill="#f3f6f3"/>')
    for at, _how in restarts:
        x = LEFT + scale * at
        parts.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{height - 20}" stroke="#999" '
                     'stroke-dasharray="3 3"/>')
    for index, (key, name, colour) in enumerate(PANELS):
        parts += panel(samples, key, name, colour, TOP + PANEL * index, end)
    for minute in range(0, int(end // 60) + 1, max(1, int(end // 600))):
        parts.append(f'<text x="{LEFT + scale * minute * 60:.1f}" y="{height - 6}" text-anchor="middle" fill="#666">'
                     f'{minute} min</text>')
    return "\n".join([*parts, "</svg>", ""])
