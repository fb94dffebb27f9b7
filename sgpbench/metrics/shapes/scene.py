"""What a drawing must show: the specification in a prompt's ``metadata["scene"]``, read and checked."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sgpbench.errors import DataError
from sgpbench.records import Json

__all__ = [
    "ColorName",
    "Group",
    "Relation",
    "Scene",
    "ShapeName",
    "Statement",
    "read_scene",
]

ShapeName: TypeAlias = Literal["circle", "square", "triangle", "rectangle", "ellipse", "pentagon", "hexagon", "star"]
ColorName: TypeAlias = Literal["red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "gray", "black"]
Relation: TypeAlias = Literal["left", "right", "above", "below", "inside", "overlap", "taller", "equal"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Group(_Frozen):
    """``count`` shapes of one kind."""

    id: str
    shape: ShapeName
    color: ColorName
    count: Annotated[int, Field(ge=1, le=5)]

    @property
    def words(self) -> str:
        """``2 red circles``."""
        return f"{self.count} {self.color} {self.shape}{'s' if self.count > 1 else ''}"


class Statement(_Frozen):
    """``subject`` stands in ``kind`` to ``object``; ``equal`` is said of one group."""

    kind: Relation
    subject: str
    object: str | None = None


class Scene(_Frozen):
    """Groups, what holds between them, and the colour of the plain background."""

    background: Literal["white"]
    groups: Annotated[tuple[Group, ...], Field(min_length=1)]
    statements: tuple[Statement, ...]

    @model_validator(mode="after")
    def _is_consistent(self) -> Scene:
        ids = {group.id for group in self.groups}
        if len(ids) < len(self.groups):
            raise ValueError("two groups share an id")
        for statement in self.statements:
            if statement.subject not in ids or (statement.kind != "equal" and statement.object not in ids):
                raise ValueError(f"the statement '{statement.kind}' names no group")
        return self

    def group(self, group_id: str) -> Group:
        """The group with this id."""
        return next(group for group in self.groups if group.id == group_id)


def read_scene(value: Json) -> Scene:
    """A checked scene.

    Raises:
        DataError: it is not a scene that this verifier can decide.
    """
    try:
        return Scene.model_validate(value, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "scene"
        raise DataError(f"A prompt's scene cannot be verified: {where}: {first['msg']}.") from None
