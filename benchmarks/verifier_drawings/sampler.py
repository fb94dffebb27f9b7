"""Places for the shapes of a scene: every statement true by a stated margin, or exactly one of them false."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from verifier_drawings.outlines import (
    Item,
    clearance,
    dense,
    distance_to_edge,
    inside_polygon,
    shared_shares,
    true_outline,
)

GAP = 9.0
"""Least distance between shapes that are apart, in pixels of a 512-pixel canvas."""
SMALLEST = 34.0
_TRIES, _RESTARTS = 70, 60


@dataclass(frozen=True)
class Fault:
    """The one thing that is wrong. ``about``: group ids, as the verdict is expected to name them."""

    kind: str
    near: bool
    about: tuple[str, ...] = ()


@dataclass
class Plan:
    """A scene about to be laid out."""

    scene: dict
    width: float
    height: float
    fault: Fault | None
    items: list[Item] = field(default_factory=list)

    def group(self, group_id: str) -> list[Item]:
        return [item for item in self.items if item.group == group_id]


def arrange(scene: dict, rng: Random, fault: Fault | None = None) -> Plan | None:
    """A laid-out scene, or ``None`` where no place was found (the caller draws another scene)."""
    shape = rng.choice(((512, 512), (512, 512), (512, 512), (512, 384), (384, 512)))
    for attempt in range(_RESTARTS):
        plan = Plan(scene, *shape, fault)
        if _try(plan, rng, 0.97**attempt):
            return plan
    return None


def _try(plan: Plan, rng: Random, shrink: float) -> bool:
    loose = _made(plan, rng, shrink)
    if loose is None:
        return False
    for item in _ordered(plan, loose):
        placed = _placed(plan, item, rng)
        if placed is None:
            return False
        plan.items.append(placed)
    return True


# --- making --------------------------------------------------------------------------------------------------------


def _made(plan: Plan, rng: Random, shrink: float) -> list[Item] | None:
    """The items with forms, turns and sizes, nowhere yet; ``None`` where one would be too small."""
    scene, fault = plan.scene, plan.fault
    total = sum(group["count"] for group in scene["groups"])
    base = shrink * min(plan.width, plan.height) * rng.uniform(0.55, 0.95) / max(1.6, total**0.5 * 1.25)
    kinds = {statement["kind"] for statement in scene["statements"]}
    items: list[Item] = []
    for group in scene["groups"]:
        count = group["count"]
        if fault and fault.kind == "count" and fault.about == (group["id"],):
            count = _wrong_count(count, fault.near, rng)
        alike = rng.random() < 0.6
        outline = true_outline(group["shape"], rng)
        turn = rng.choice((0.0, 0.0, rng.uniform(-180, 180)))
        for _ in range(count):
            form = outline if alike else true_outline(group["shape"], rng)
            angle = turn if alike else rng.choice((0.0, rng.uniform(-180, 180)))
            size = base * (1.0 if alike else rng.uniform(0.8, 1.25))
            items.append(Item(group["id"], group["shape"], group["color"], form, size=size, angle=angle))
    if "inside" in kinds:
        for statement in scene["statements"]:
            if statement["kind"] == "inside":
                outer = {statement["object"]}
                inner = [item for item in items if item.group == statement["subject"]]
                factor = rng.uniform(0.28, 0.42) if len(inner) == 1 else rng.uniform(0.2, 0.27)
                items = [
                    item.sized(item.size * (1.9 if item.group in outer else factor * 1.9 if item in inner else 1.0))
                    for item in items
                ]
    items = _with_heights(plan, items, rng)
    if any(min(item.width, item.height) < SMALLEST * 0.55 or max(item.width, item.height) < SMALLEST for item in items):
        return None
    return items


def _wrong_count(count: int, near: bool, rng: Random) -> int:
    if near:
        return count + 1 if count <= 2 else count + rng.choice((-1, 1))
    return count + 2 if count <= 3 else count - 2


def _with_heights(plan: Plan, items: list[Item], rng: Random) -> list[Item]:
    """Items scaled so that statements of size hold (or one of them does not)."""
    fault = plan.fault
    for statement in sorted(plan.scene["statements"], key=lambda statement: statement["kind"]):  # equal before taller
        broken = fault is not None and fault.kind == statement["kind"] and fault.about[0] == statement["subject"]
        if statement["kind"] == "equal":
            own = [item for item in items if item.group == statement["subject"]]
            target = max(item.height for item in own)
            factors = {id(item): target * rng.uniform(0.98, 1.0) / item.height for item in own}
            if broken:
                ratio = rng.uniform(1.28, 1.45) if fault.near else rng.uniform(1.8, 2.2)
                odd = rng.choice(own)
                factors[id(odd)] /= ratio
            items = [item.sized(item.size * factors.get(id(item), 1.0)) for item in items]
        elif statement["kind"] == "taller":
            ratio = rng.uniform(2.06, 2.6)
            if broken:
                ratio = rng.uniform(1.4, 1.72) if fault.near else rng.uniform(0.7, 1.1)
            small = max(item.height for item in items if item.group == statement["object"])
            tall = min(item.height for item in items if item.group == statement["subject"])
            factor = ratio * small / tall
            up, down = factor**0.55, factor**-0.45
            items = [
                item.sized(
                    item.size
                    * (up if item.group == statement["subject"] else down if item.group == statement["object"] else 1.0)
                )
                for item in items
            ]
    return items


# --- placing -------------------------------------------------------------------------------------------------------


def _ordered(plan: Plan, items: list[Item]) -> list[Item]:
    """Containers before what is in them, the rest by size."""
    inner = {s["subject"] for s in plan.scene["statements"] if s["kind"] == "inside"}
    late = inner | {s["object"] for s in plan.scene["statements"] if s["kind"] == "overlap"}
    return sorted(items, key=lambda item: (item.group in late, -item.size))


def _placed(plan: Plan, item: Item, rng: Random) -> Item | None:
    margin = 8.0
    half_w, half_h = item.width / 2 + margin, item.height / 2 + margin
    if 2 * half_w > plan.width or 2 * half_h > plan.height:
        return None
    partner = _partner(plan, item)
    for _ in range(_TRIES):
        if partner is not None:
            reach_x, reach_y = (partner.width + item.width) / 2, (partner.height + item.height) / 2
            x = (partner.box[0] + partner.box[2]) / 2 + rng.uniform(-reach_x, reach_x)
            y = (partner.box[1] + partner.box[3]) / 2 + rng.uniform(-reach_y, reach_y)
        else:
            x, y = rng.uniform(half_w, plan.width - half_w), rng.uniform(half_h, plan.height - half_h)
        low_x, low_y, high_x, high_y = item.at(0, 0).box
        moved = item.at(x - (low_x + high_x) / 2, y - (low_y + high_y) / 2)
        box = moved.box
        if min(box[0], box[1]) < margin or box[2] > plan.width - margin or box[3] > plan.height - margin:
            continue
        if all(fits(plan, moved, other) for other in plan.items) and _faulty_enough(plan, moved):
            return moved
    return None


def _partner(plan: Plan, item: Item) -> Item | None:
    """The placed item that this one belongs near: what it is in, or overlaps."""
    for statement in plan.scene["statements"]:
        if statement["kind"] in ("inside", "overlap"):
            pair = {statement["subject"], statement["object"]}
            if item.group in pair:
                found = next((other for other in plan.items if other.group in pair - {item.group}), None)
                if found is not None and not (_breaks(plan, statement) and not plan.fault.near):
                    return found
    if plan.fault and plan.fault.kind == "apart" and item.group == plan.fault.about[1]:
        return next((other for other in plan.items if other.group == plan.fault.about[0]), None)
    return None


def _breaks(plan: Plan, statement: dict) -> bool:
    fault = plan.fault
    return (
        fault is not None
        and fault.kind == statement["kind"]
        and fault.about == (statement["subject"], statement.get("object"))
    )


def fits(plan: Plan, item: Item, other: Item) -> bool:
    """Whether two items stand to each other as the scene says (the broken statement is left to ``_faulty_enough``)."""
    together = False
    for statement in plan.scene["statements"]:
        kind, pair = statement["kind"], (statement["subject"], statement.get("object"))
        if kind == "equal" or (item.group, other.group) not in (pair, pair[::-1]) or item.group == other.group:
            continue
        first, second = (item, other) if item.group == pair[0] else (other, item)
        if kind in ("inside", "overlap"):
            together = True
            if not _together(kind, first, second, plan.fault if _breaks(plan, statement) else None):
                return False
        elif kind != "taller" and not _breaks(plan, statement) and _gap(kind, first, second) < 5.0:
            return False
    if together:
        return True
    if _is_apart_fault(plan, item, other):
        mine, its = shared_shares(item, other)
        low, high = (0.06, 0.16) if plan.fault.near else (0.2, 0.35)
        return low <= max(mine, its) <= high
    a, b = item.box, other.box
    far = a[0] - GAP > b[2] or b[0] - GAP > a[2] or a[1] - GAP > b[3] or b[1] - GAP > a[3]
    return far or clearance(item, other) >= GAP


def _is_apart_fault(plan: Plan, item: Item, other: Item) -> bool:
    """The first item of each of the two groups that wrongly overlap."""
    fault = plan.fault
    if fault is None or fault.kind != "apart" or {item.group, other.group} != set(fault.about):
        return False
    if item.group == other.group:
        return False
    return not plan.group(item.group) and plan.group(other.group)[0] is other


def _together(kind: str, first: Item, second: Item, fault: Fault | None) -> bool:
    """Whether two items are one in the other, or overlap, by the margins; or are wrong in the way of the fault."""
    mine, its = shared_shares(first, second)
    if kind == "inside":
        if fault is None:
            within = (
                inside_polygon(dense(first.points), second.points).all()
                and not inside_polygon(second.points, first.points).any()
            )
            return bool(within and distance_to_edge(dense(first.points), second.points).min() >= 9.0)
        return 0.6 <= mine <= 0.85 if fault.near else clearance(first, second) >= GAP
    if fault is None:
        return 0.08 <= max(mine, its) <= 0.36
    return GAP <= clearance(first, second) <= 18 if fault.near else clearance(first, second) > 40


def _gap(kind: str, first: Item, second: Item) -> float:
    a, b = first.box, second.box
    return {"left": b[0] - a[2], "right": a[0] - b[2], "above": b[1] - a[3], "below": a[1] - b[3]}[kind]


def _faulty_enough(plan: Plan, item: Item) -> bool:
    """Whether a broken spatial statement is broken by the wanted margin, once the last of its items is placed."""
    fault = plan.fault
    if fault is None or fault.kind not in ("left", "right", "above", "below") or item.group not in fault.about:
        return True
    numbers = {group["id"]: group["count"] for group in plan.scene["groups"]}
    first = [*plan.group(fault.about[0]), *([item] if item.group == fault.about[0] else [])]
    second = [*plan.group(fault.about[1]), *([item] if item.group == fault.about[1] else [])]
    if len(first) < numbers[fault.about[0]] or len(second) < numbers[fault.about[1]]:
        return True
    axis = 0 if fault.kind in ("left", "right") else 1
    worst = min(
        _gap(fault.kind, a, b) / min(a.box[axis + 2] - a.box[axis], b.box[axis + 2] - b.box[axis])
        for a in first
        for b in second
    )
    return -0.5 <= worst <= -0.2 if fault.near else worst <= -1.0
