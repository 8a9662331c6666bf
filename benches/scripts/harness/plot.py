"""Plots as SVG, without any package."""

STYLE = ("polyline{fill:none;stroke:#06c;stroke-width:1.5}.axis{fill:none;stroke:#999}"
         ".bar{fill:#9bd}.own{fill:#06c}.span{stroke:#333}text{font:12px sans-serif}")


def page(path, width, height, title, parts):
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
                    f'<style>{STYLE}</style><rect width="100%" height="100%" fill="#fff"/>'
                    f'<text x="10" y="18">{title}</text>{"".join(parts)}</svg>\n')


def over_time(samples, path, title):
    """Plots memory and descriptors over time."""
    width, height, left, top = 720, 150, 60, 30
    seconds = max(sample["second"] for sample in samples) or 1
    parts = []
    for row, (key, unit) in enumerate([("rss_mib", "MiB resident"), ("descriptors", "descriptors")]):
        most = max(sample[key] for sample in samples) * 1.1 or 1
        bottom = top + (row + 1) * (height + 40) - 40
        points = " ".join(f"{left + sample['second'] / seconds * width:.1f},"
                          f"{bottom - sample[key] / most * height:.1f}" for sample in samples)
        parts.append(f'<path d="M{left} {bottom - height}V{bottom}H{left + width}" class="axis"/>'
                     f'<polyline points="{points}"/>'
                     f'<text x="{left - 6}" y="{bottom - height + 10}" text-anchor="end">{most:.0f}</text>'
                     f'<text x="{left - 6}" y="{bottom}" text-anchor="end">0</text>'
                     f'<text x="{left + 6}" y="{bottom - height + 10}">{unit}</text>'
                     f'<text x="{left + width}" y="{bottom + 16}" text-anchor="end">{seconds:.0f} s</text>')
    page(path, left + width + 20, top + 2 * (height + 40), title, parts)


def bars(panels, path, title):
    """Plots panels side by side. A panel has a title and bars, each with a name, a value and an interval.
    Bars whose names begin with `offpath` are darker. Each panel has its own scale."""
    wide, high, label, top = 250, 20, 110, 50
    rows = max(len(bars) for _, bars in panels)
    parts = []
    for column, (what, bars) in enumerate(panels):
        left = label + column * (wide + 60)
        most = max(max(value, high) for _, value, _, high in bars) or 1

        def x(value):
            return left + max(value, 0) / most * wide

        parts.append(f'<text x="{left}" y="{top - 8}">{what}</text>')
        for row, (name, value, least, greatest) in enumerate(bars):
            y = top + row * high
            own = " own" if name.startswith("offpath") else ""
            if column == 0:
                parts.append(f'<text x="{left - 6}" y="{y + 13}" text-anchor="end">{name}</text>')
            parts.append(f'<rect x="{left}" y="{y + 3}" width="{x(value) - left:.1f}" height="{high - 6}" '
                         f'class="bar{own}"/><path d="M{x(least):.1f} {y + high / 2}H{x(greatest):.1f}" '
                         f'class="span"/><text x="{x(greatest) + 4:.1f}" y="{y + 14}">{value:.0f}</text>')
    page(path, label + len(panels) * (wide + 60), top + rows * high + 10, title, parts)
