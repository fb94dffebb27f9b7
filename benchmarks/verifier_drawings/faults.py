"""Which single faults a scene can have, and the drawing with that fault and no other."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np

from verifier_drawings.outlines import LOOKALIKES, Item, Outline, clearance, true_outline
from verifier_drawings.palette import NEAR_COLORS, OTHER_COLORS, far_apart
from verifier_drawings.sampler import GAP, SMALLEST, Fault, Plan, arrange, fits

SHAPES = tuple(LOOKALIKES)
_SPATIAL = ("left", "right", "above", "below")


def possible_faults(scene: dict) -> list[str]:
    """Kinds of fault that can be made without entailing another."""
    kinds = ["count", "shape", "color", "only", "background"]
    kinds += [statement["kind"] for statement in scene["statements"]]
    if _apart_pairs(scene):
        kinds.append("apart")
    return sorted(set(kinds))


def with_fault(scene: dict, kind: str, near: bool, rng: Random) -> tuple[Plan, Fault] | None:
    """A drawing in which exactly that kind of constraint is broken; ``None`` where none was found."""
    fault = _fault(scene, kind, near, rng)
    if fault is None:
        return None
    plan = arrange(scene, rng, fault)
    if plan is None or (kind in _AFTER and not _AFTER[kind](plan, fault, rng)):
        return None
    return plan, fault


def _fault(scene: dict, kind: str, near: bool, rng: Random) -> Fault | None:
    if kind in ("count", "shape", "color"):
        groups = [g for g in scene["groups"] if kind != "count" or _may_miscount(scene, g, near)]
        return Fault(kind, near, (rng.choice(groups)["id"],)) if groups else None
    if kind in ("only", "background"):
        return Fault(kind, near)
    if kind == "apart":
        return Fault(kind, near, rng.choice(_apart_pairs(scene)))
    statements = [s for s in scene["statements"] if s["kind"] == kind]
    statement = rng.choice(statements)
    about = (statement["subject"],) if kind == "equal" else (statement["subject"], statement["object"])
    return Fault(kind, near, about)


def _may_miscount(scene: dict, group: dict, near: bool) -> bool:
    """Groups that overlap or hold others stay as they are: another of them would break more than the count."""
    special = {"overlap": ("subject", "object"), "inside": ("subject", "object")}
    tied = {s.get(role) for s in scene["statements"] for role in special.get(s["kind"], ())}
    return group["id"] not in tied and group["count"] + (1 if near else 2) <= 7


def _apart_pairs(scene: dict) -> list[tuple[str, str]]:
    """Groups of different colour that may overlap without breaking another statement."""
    tied = {frozenset((s["subject"], s.get("object"))) for s in scene["statements"]}
    busy = {g for s in scene["statements"] if s["kind"] in ("inside", "overlap") for g in (s["subject"], s["object"])}
    return [
        (a["id"], b["id"])
        for a in scene["groups"]
        for b in scene["groups"]
        if a["color"] != b["color"]
        and frozenset((a["id"], b["id"])) not in tied
        and a["id"] != b["id"]
        and not {a["id"], b["id"]} & busy
    ]


def _change_shape(plan: Plan, fault: Fault, rng: Random) -> bool:
    index = rng.choice([i for i, item in enumerate(plan.items) if item.group == fault.about[0]])
    item = plan.items[index]
    taken = {group["shape"] for group in plan.scene["groups"]}
    if fault.near:
        outline = rng.choice(LOOKALIKES[item.shape])(rng)
    else:
        others = [shape for shape in SHAPES if shape not in taken and {shape, item.shape} not in _KIN]
        if not others:
            return False
        outline = true_outline(rng.choice(others), rng)
    if fault.near and _is_of_another_group(plan, item, outline):
        return False
    changed = replace(item, outline=outline, _cache={})
    # The new form takes the old one's height and place, so that sizes and positions stay as they were.
    changed = changed.sized(changed.size * item.height / changed.height)
    changed = changed.at(
        changed.x + (item.box[0] + item.box[2] - changed.box[0] - changed.box[2]) / 2,
        changed.y + (item.box[1] + item.box[3] - changed.box[1] - changed.box[3]) / 2,
    )
    plan.items[index] = changed
    return _still_right(plan, changed, index)


_KIN = ({"square", "rectangle"}, {"circle", "ellipse"})


def _is_of_another_group(plan: Plan, item: Item, outline: Outline) -> bool:
    """Whether a look-alike is the very shape that another group of the same colour asks for."""
    names = {"ellipse": "ellipse", "rect": "rectangle", "circle": "circle"}
    ratio = max(outline.numbers) / min(outline.numbers) if outline.kind in ("ellipse", "rect") else 1.0
    name = names.get(outline.kind)
    if ratio < 1.2:
        name = {"ellipse": "circle", "rectangle": "square"}.get(name or "", name)
    corners = {3: "triangle", 4: "square", 5: "pentagon", 6: "hexagon", 10: "star"}.get(len(outline.points))
    return any(
        group["shape"] in (name, corners) and group["color"] == item.color and group["id"] != item.group
        for group in plan.scene["groups"]
    )


def _still_right(plan: Plan, changed: Item, index: int) -> bool:
    """Whether everything but the changed item's own shape is as it was: on the canvas, apart, beside, inside."""
    box = changed.box
    if min(box[0], box[1]) < 4 or box[2] > plan.width - 4 or box[3] > plan.height - 4:
        return False
    if min(changed.width, changed.height) < 0.55 * SMALLEST:
        return False
    return all(fits(plan, changed, other) for number, other in enumerate(plan.items) if number != index)


def _change_color(plan: Plan, fault: Fault, rng: Random) -> bool:
    index = rng.choice([i for i, item in enumerate(plan.items) if item.group == fault.about[0]])
    item = plan.items[index]
    taken = {group["color"] for group in plan.scene["groups"]}
    options = NEAR_COLORS[item.color] if fault.near else OTHER_COLORS[item.color]
    options = [color for color in options if color not in taken and color != item.color]
    if not options:
        return False
    plan.items[index] = replace(item, color=rng.choice(options), _cache=dict(item._cache))
    return True


def _add_thing(plan: Plan, fault: Fault, rng: Random) -> bool:
    """Something that nobody asked for: a small or a normal shape of another kind, a dot, or a line."""
    colors = {group["color"] for group in plan.scene["groups"]}
    shapes = {group["shape"] for group in plan.scene["groups"]}
    shape = rng.choice([shape for shape in SHAPES if shape not in shapes])
    color = rng.choice([c for c in OTHER_COLORS["red"] if c not in colors and far_apart(c, colors)])
    outline = true_outline(shape, rng)
    size = rng.uniform(60, 110)
    if fault.near:
        size = rng.uniform(16, 36)
        if rng.random() < 0.3:
            size, outline = rng.uniform(60, 160), Outline(_line())
    for _ in range(400):
        item = Item("extra", shape, color, outline, size=size, angle=rng.uniform(-180, 180))
        item = item.at(rng.uniform(20, plan.width - 20), rng.uniform(20, plan.height - 20))
        box = item.box
        if min(box[0], box[1]) < 6 or box[2] > plan.width - 6 or box[3] > plan.height - 6:
            continue
        if all(clearance(item, other) >= GAP for other in plan.items):
            plan.items.append(item)
            return True
    return False


def _line() -> np.ndarray:
    return np.array([[-0.5, -0.012], [0.5, -0.012], [0.5, 0.012], [-0.5, 0.012]])


_AFTER = {"shape": _change_shape, "color": _change_color, "only": _add_thing}
