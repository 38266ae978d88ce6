"""How the pages look for one tenant, or for everybody: all of it in memory, and nothing of it in files any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

from bridge.pages.colours import DARK, LIGHT, palette

NAME = "Learning"


@dataclass(frozen=True, slots=True)
class Logo:
    """`plate` says that it needs a light ground where the page is dark."""

    uri: str
    plate: bool


@dataclass(frozen=True, slots=True)
class Override:
    """A template that takes the place of the bridge's own of that name; `file` is how messages call it."""

    name: str
    file: str
    source: str


@dataclass(frozen=True, slots=True)
class Look:
    """What a deployment or a tenant says of its pages; what it says nothing of is None, or the bridge's own."""

    name: str | None = None
    logo: Logo | None = None
    accent: str | None = None
    accent_dark: str | None = None
    support: str | None = None
    templates: tuple[Override, ...] = ()

    def over(self, service: Look) -> Look:
        """This, and of what it leaves out what the service says. The two accents are one choice: they go together."""
        if self == PLAIN:
            return service
        accents = self if self.accent or self.accent_dark else service
        names = {template.name for template in self.templates}
        return Look(
            name=self.name or service.name,
            logo=self.logo or service.logo,
            accent=accents.accent,
            accent_dark=accents.accent_dark,
            support=self.support or service.support,
            templates=(*self.templates, *(other for other in service.templates if other.name not in names)),
        )

    def colours(self) -> str:
        """The style that the accents make, to follow that of `style.css`."""
        style = ""
        if self.accent:
            style += _root(palette(self.accent, LIGHT))
        if dark := self.accent_dark or self.accent:
            rules = _root(palette(dark, DARK, exactly=self.accent_dark is not None))
            style += f"@media (prefers-color-scheme: dark) {{\n{rules}}}\n"
        return style

    def support_link(self, reference: str | None = None) -> str | None:
        """Where learners get help; a letter has the reference as its subject."""
        if self.support and reference and self.support.startswith("mailto:"):
            return f"{self.support}?subject={quote(reference)}"
        return self.support


class Customer(Protocol):
    """Whoever has a look: a tenant."""

    @property
    def look(self) -> Look: ...


PLAIN = Look()


def _root(properties: dict[str, str]) -> str:
    return ":root { " + "".join(f"--{name}: {value}; " for name, value in properties.items()) + "}\n"
