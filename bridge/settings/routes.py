"""Which access the platform's paths need, and which of its traffic means "completed"."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from bridge.settings.frozen import Frozen
from bridge.settings.values import Method, Parameter, RoutePath, Status

Access = Literal["public", "optional", "learner", "course"]


class Route(Frozen):
    """Which access a path needs. The first route that matches decides."""

    path: RoutePath = Field(examples=["/courses/{course}/**"])
    """A path; `{course}` is one segment, the course's origin id, and `**` at the end any rest, none included."""
    course_parameter: Parameter | None = Field(default=None, examples=["id"])
    """The query parameter that holds the origin id, where the path does not."""
    access: Access = Field(examples=["learner"])
    """`public`: no identity. `optional`: identity if a session lives. `learner`: a session is needed. `course`: a
    session and an open gate."""

    @field_validator("access")
    @classmethod
    def _names_one_course(cls, access: Access, info: ValidationInfo) -> Access:
        in_path = "{course}" in info.data.get("path", "{course}")
        in_query = info.data.get("course_parameter") is not None
        if access == "course" and "path" in info.data and in_path == in_query:
            raise ValueError("say where the course is: either {course} in the path or a course_parameter")
        if access != "course" and in_query:
            raise ValueError("write access: course, or leave course_parameter out")
        return access


class CompletionRule(Frozen):
    """Platform traffic that means "completed"."""

    method: Method = Field(examples=["POST"])
    """The request's method."""
    path: RoutePath = Field(examples=["/courses/{course}/finish"])
    """The request's path, with `{course}`."""
    status: Status = None
    """The platform's status that counts; any 2xx unless said."""

    @field_validator("path")
    @classmethod
    def _names_the_course(cls, path: str) -> str:
        if "{course}" not in path:
            raise ValueError("write {course} where the course's origin id stands")
        return path
