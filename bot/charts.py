"""Charts drawn on the server as SVG that stands in the page: bars for places and kinds, columns for months.

Chart libraries pull scripts, fonts or inline styles into the page, which the console's content policy refuses; what is drawn
here has presentation attributes and classes only, and takes its colours from the stylesheet. A second series is an outline,
so that both can be told apart in black and white. Each chart is one picture with a title and a description for those who hear
the page; the same numbers stand in a table beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import east_asian_width

from markupsafe import Markup

BAR_WIDTH, COLUMNS_WIDTH = 420, 760
"""Units of the drawing; about as many pixels as it has on a desk."""
_EM = 13
_LARGER = 15 / 13
_ROW = 38
_PLOT_HEIGHT, _TOP, _FOOT, _LEFT = 170, 34, 26, 56
_WIDEST_SLOT = 130
"""A few columns stand together at the left, where a phone shows them without rolling."""
_MOST_LABELS = 12
"""So many month names stand beside each other."""


@dataclass(frozen=True)
class Series:
    """One row of values under a name, as 登记 by month."""

    name: str
    values: Sequence[int]


def bars(title: str, items: Sequence[tuple[str, int]]) -> Markup:
    """Horizontal bars, one under another in the order given: a label (cut with … where too long; whole on pointing) and its value.

    Without items, or with nothing but noughts, the picture says so.
    """
    most = max((value for _, value in items), default=0)
    if most <= 0:
        return _nothing(title, BAR_WIDTH)
    drawn = [_bar(number, label, value, most) for number, (label, value) in enumerate(items)]
    told = "；".join(f"{label} {value}" for label, value in items)
    return _picture(title, told, BAR_WIDTH, _ROW * len(items) + 2, drawn)


def columns(title: str, labels: Sequence[str], series: Sequence[Series]) -> Markup:
    """Upright columns, for each label one of each series (one or two), with a scale at the left.

    Values stand above the columns where there is room. Raises ValueError when a series has not one value for each label.
    """
    if not 1 <= len(series) <= 2 or any(len(one.values) != len(labels) for one in series):
        raise ValueError("columns take one or two series with one value for each label")
    top = _round_up(max((value for one in series for value in one.values), default=0))
    if top == 0:
        return _nothing(title, COLUMNS_WIDTH)
    drawn = [_legend(series), *_scale(top)]
    slot = min(_WIDEST_SLOT, (COLUMNS_WIDTH - _LEFT) / len(labels))
    every = -(-len(labels) // _MOST_LABELS)
    for number, label in enumerate(labels):
        left = _LEFT + number * slot
        drawn.append(_group_of_columns(left, slot, label, [(one.name, one.values[number]) for one in series], top))
        if number % every == 0:
            # A name may be as wide as the slots up to the next one.
            drawn.append(_text(left + slot / 2, _TOP + _PLOT_HEIGHT + 18, _cut(label, slot * every - 2), "label", "middle"))
    told = "；".join(f"{label} " + "，".join(f"{one.name} {one.values[number]}" for one in series) for number, label in enumerate(labels))
    return _picture(title, told, COLUMNS_WIDTH, _TOP + _PLOT_HEIGHT + _FOOT, drawn)


def _bar(number: int, label: str, value: int, most: int) -> Markup:
    top, shown = number * _ROW, f"{value:,}"
    # On a phone the stylesheet makes these letters larger against the drawing.
    room = BAR_WIDTH / _LARGER - _width_of(shown) - _EM
    # What is there at all can be seen.
    length = max(2.0, value / most * BAR_WIDTH) if value > 0 else 0.0
    return Markup("<g><title>{}</title>{}{}{}{}</g>").format(
        f"{label} {shown}",
        _text(0, top + 14, _cut(label, room), "label"),
        _text(BAR_WIDTH, top + 14, shown, "value", "end"),
        _box(0, top + 20, BAR_WIDTH, 11, "track"),
        _box(0, top + 20, length, 11, "first"),
    )


def _group_of_columns(left: float, slot: float, label: str, values: Sequence[tuple[str, int]], top: int) -> Markup:
    wide = min(34.0, slot * 0.78 / len(values))
    begin = left + (slot - wide * len(values)) / 2
    drawn = []
    for number, (_, value) in enumerate(values):
        high = max(2.0, value / top * _PLOT_HEIGHT) if value > 0 else 0.0
        x, y = begin + number * wide, _TOP + _PLOT_HEIGHT - high
        # An outline needs its own half width inside, or it would touch its neighbour.
        drawn.append(_box(x + 0.5, y, wide - 1, high, "second" if number else "first"))
        if value > 0 and _width_of(f"{value:,}") * 0.85 <= wide + 2:
            drawn.append(_text(x + wide / 2, y - 4, f"{value:,}", "small", "middle"))
    told = f"{label}：" + "，".join(f"{name} {value:,}" for name, value in values)
    return Markup("<g><title>{}</title>{}</g>").format(told, Markup("").join(drawn))


def _scale(top: int) -> list[Markup]:
    """Lines at nothing, half and all, with their numbers."""
    drawn = []
    for value in dict.fromkeys((0, top // 2, top)):
        y = _TOP + _PLOT_HEIGHT * (1 - value / top)
        line = Markup('<line class="grid" x1="{}" x2="{}" y1="{y}" y2="{y}"/>')
        drawn.append(line.format(_LEFT, COLUMNS_WIDTH, y=_number(y)))
        drawn.append(_text(_LEFT - 8, y + 4, _short(value), "small", "end"))
    return drawn


def _legend(series: Sequence[Series]) -> Markup:
    drawn, x = [], float(_LEFT)
    for number, one in enumerate(series):
        drawn += [_box(x, 4, 12, 12, "second" if number else "first"), _text(x + 18, 14.5, one.name, "label")]
        x += 18 + _width_of(one.name) + 24
    return Markup("").join(drawn)


def _nothing(title: str, width: int) -> Markup:
    said = "这段时间没有可画的数据"
    return _picture(title, said, width, 48, [_text(width / 2, 28, said, "label", "middle")])


def _picture(title: str, told: str, width: int, height: float, drawn: Sequence[Markup]) -> Markup:
    return Markup(
        '<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" role="img" aria-label="{title}">'
        "<title>{title}</title><desc>{}</desc>{}</svg>"
    ).format(width, _number(height), told, Markup("").join(drawn), title=title)


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> Markup:
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(kind, _number(x), _number(y), anchor, text)


def _box(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    box = Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>')
    return box.format(kind, _number(x), _number(y), _number(max(0.0, width)), _number(height))


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _width_of(text: str) -> float:
    """About how wide a text is: a Chinese character is as wide as it is high, others are a little over half as wide."""
    return sum(_EM if east_asian_width(character) in "WFA" else _EM * 0.6 for character in text)


def _cut(text: str, room: float) -> str:
    """The text, or as much of it as there is room for and an ellipsis."""
    if _width_of(text) <= room:
        return text
    while text and _width_of(text + "…") > room:
        text = text[:-1]
    return text + "…"


def _round_up(value: int) -> int:
    """The next number that reads well on a scale: 1, 2, 4, 10, 20, 40, 60, 80, 100 and so on; 0 stays 0."""
    if value <= 2:
        return max(0, value)
    size = 1
    while size * 10 < value:
        size *= 10
    return next(step * size for step in (2, 4, 6, 8, 10) if step * size >= value)


def _short(value: int) -> str:
    """A number for the scale, at most a few characters wide."""
    if value >= 100_000_000:
        return f"{value / 100_000_000:g} 亿"
    return f"{value / 10_000:g} 万" if value >= 100_000 else f"{value:,}"
