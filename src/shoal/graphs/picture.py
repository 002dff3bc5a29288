"""A graph as a PNG, drawn here: LangGraph's own renderers need a web service or a system library.

Nodes are drawn rank by rank, top down; loops bend around the right side. Good for graphs a person can
read, some dozens of nodes.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langgraph.graph import Graph
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

__all__ = ["render_png"]

SCALE = 2
"""Drawn at twice the size, for screens that have the pixels."""
FONT_SIZE, NODE_HEIGHT, RANK_GAP, NODE_GAP, PADDING, MARGIN, LANE = 15, 34, 46, 22, 14, 36, 16
APART = 6
"""Between an edge that leaves a box at the side and one that enters there."""
INK, SOFT, NODE_FILL, END_FILL, PAPER = "#1f2933", "#7b8794", "#e3f2fd", "#d9e2ec", "#ffffff"
TITLES = {"__start__": "request", "__end__": "answer"}


@dataclass(frozen=True, slots=True)
class Box:
    name: str
    left: float
    top: float
    width: float

    @property
    def centre(self) -> float:
        return self.left + self.width / 2

    @property
    def middle(self) -> float:
        return self.top + NODE_HEIGHT / 2

    @property
    def bottom(self) -> float:
        return self.top + NODE_HEIGHT


def render_png(graph: "Graph") -> bytes:
    """PNG bytes. Dashed: one of several ways the run may take."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(FONT_SIZE * SCALE)
    edges = [(edge.source, edge.target, bool(edge.conditional)) for edge in graph.edges]
    ranks = _rank(list(graph.nodes), edges)
    boxes = _place(ranks, font)
    paths = _route(edges, ranks, boxes)
    points = [point for path, _ in paths for point in path]
    width = max(*(box.left + box.width for box in boxes.values()), *(x for x, _ in points)) + MARGIN
    height = max(box.bottom for box in boxes.values()) + MARGIN
    image = Image.new("RGB", (round(width * SCALE), round(height * SCALE)), PAPER)
    draw = ImageDraw.Draw(image)
    for path, dashed in paths:
        _draw_path(draw, path, dashed=dashed)
    for box in boxes.values():
        _draw_box(draw, box, font)
    out = BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


Edge = tuple[str, str, bool]
Point = tuple[float, float]


def _rank(nodes: Sequence[str], edges: Sequence[Edge]) -> list[list[str]]:
    """Nodes by their longest way from the start, loops left out: every other edge then points down."""
    following: dict[str, list[str]] = defaultdict(list)
    for source, target, _ in edges:
        following[source].append(target)
    reached = {node: _distances(node, following) for node in nodes}
    near = reached["__start__"]
    forward = [
        (source, target)
        for source, target, _ in edges
        if source not in reached[target] or near[target] > near[source]
    ]
    rank = dict.fromkeys(nodes, 0)
    for _ in nodes:  # a longest way has fewer edges than there are nodes
        for source, target in forward:
            rank[target] = max(rank[target], rank[source] + 1)
    # Long edges pass on the left and loops on the right, so their ends stand on that side of the row.
    entered = {target for source, target in forward if rank[target] - rank[source] > 1}
    looping = {source for source, target, _ in edges if rank[target] <= rank[source]}
    rows: dict[int, list[str]] = defaultdict(list)
    for node in sorted(nodes, key=lambda node: (node in looping) - (node in entered)):
        rows[rank[node]].append(node)
    return [rows[index] for index in sorted(rows)]


def _distances(start: str, following: dict[str, list[str]]) -> dict[str, int]:
    """Fewest edges from a node to every node it leads to."""
    distance, queue = {start: 0}, [start]
    for node in queue:
        for target in following[node]:
            if target not in distance:
                distance[target] = distance[node] + 1
                queue.append(target)
    return distance


def _route(
    edges: Sequence[Edge], ranks: list[list[str]], boxes: dict[str, "Box"]
) -> list[tuple[list[Point], bool]]:
    """A path an edge. Edges to the next rank are curves; longer ones pass on the left, loops on the right.

    Loops from one node back into one rank share a path: it ends at the rank's last box.
    """
    rank_of = {name: index for index, names in enumerate(ranks) for name in names}
    left = min(box.left for box in boxes.values())
    right = max(box.left + box.width for box in boxes.values())
    paths: list[tuple[list[Point], bool]] = []
    looped: set[tuple[str, int]] = set()
    for source, target, dashed in edges:
        down = rank_of[target] - rank_of[source]
        if down == 1:
            paths.append((_curve(boxes[source], boxes[target]), dashed))
        elif down > 1:
            left -= LANE
            paths.append((_around(boxes[source], boxes[target], left), dashed))
        elif (source, rank_of[target]) not in looped:
            looped.add((source, rank_of[target]))
            right += LANE
            paths.append((_around(boxes[source], boxes[ranks[rank_of[target]][-1]], right), dashed))
    return paths


def _place(ranks: list[list[str]], font: "FreeTypeFont | ImageFont") -> dict[str, Box]:
    widths = {name: font.getlength(_title(name)) / SCALE + 2 * PADDING for rank in ranks for name in rank}
    rows = [sum(widths[name] for name in rank) + NODE_GAP * (len(rank) - 1) for rank in ranks]
    boxes: dict[str, Box] = {}
    for index, rank in enumerate(ranks):
        left = MARGIN + 2 * LANE + (max(rows) - rows[index]) / 2
        for name in rank:
            boxes[name] = Box(name, left, MARGIN + index * (NODE_HEIGHT + RANK_GAP), widths[name])
            left += widths[name] + NODE_GAP
    return boxes


def _around(start: Box, end: Box, side: float) -> list[Point]:
    """Out at the side, along it, and in again."""
    outside = side > start.centre
    leave = start.left + start.width if outside else start.left
    enter = end.left + end.width if outside else end.left
    out, back = start.middle - APART, end.middle + APART
    return [(leave, out), (side, out), (side, back), (enter, back)]


def _curve(above: Box, below: Box) -> list[Point]:
    """A cubic Bézier that leaves and arrives vertically."""
    start, end = (above.centre, above.bottom), (below.centre, below.top)
    halfway = (start[1] + end[1]) / 2
    controls = (start, (start[0], halfway), (end[0], halfway), end)
    points: list[Point] = []
    for step in range(25):
        t = step / 24
        weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
        x = sum(weight * point[0] for weight, point in zip(weights, controls, strict=True))
        y = sum(weight * point[1] for weight, point in zip(weights, controls, strict=True))
        points.append((x, y))
    return points


def _draw_path(draw: "ImageDraw", path: list[Point], *, dashed: bool) -> None:
    scaled = [(x * SCALE, y * SCALE) for x, y in path]
    if dashed:
        dots = _resample(scaled, 6 * SCALE)
        for first, second in zip(dots[::2], dots[1::2], strict=False):
            draw.line([first, second], fill=SOFT, width=SCALE + 1)
    else:
        draw.line(scaled, fill=INK, width=SCALE + 1)
    (x, y), (before_x, before_y) = scaled[-1], scaled[-2]
    size = 5 * SCALE
    if abs(x - before_x) > abs(y - before_y):
        away = size if before_x > x else -size
        tip = [(x, y), (x + away, y - size / 1.6), (x + away, y + size / 1.6)]
    else:
        tip = [(x, y), (x - size / 1.6, y - size), (x + size / 1.6, y - size)]
    draw.polygon(tip, fill=SOFT if dashed else INK)


def _resample(path: list[Point], step: float) -> list[Point]:
    """Points at equal distance along a path."""
    points, carried = [path[0]], 0.0
    for (x0, y0), (x1, y1) in pairwise(path):
        length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
        position = step - carried
        while position <= length:
            t = position / length
            points.append((x0 + (x1 - x0) * t, y0 + (y1 - y0) * t))
            position += step
        carried = length - (position - step)
    return points


def _draw_box(draw: "ImageDraw", box: Box, font: "FreeTypeFont | ImageFont") -> None:
    outer = [value * SCALE for value in (box.left, box.top, box.left + box.width, box.bottom)]
    terminal = box.name in TITLES
    radius = (NODE_HEIGHT / 2 if terminal else 8) * SCALE
    draw.rounded_rectangle(outer, radius, fill=END_FILL if terminal else NODE_FILL, outline=INK, width=SCALE)
    centre = (box.centre * SCALE, box.middle * SCALE)
    draw.text(centre, _title(box.name), fill=INK, font=font, anchor="mm")


def _title(name: str) -> str:
    return TITLES.get(name, name)
