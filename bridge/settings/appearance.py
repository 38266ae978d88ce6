"""How the pages look that a learner may meet."""

from __future__ import annotations

from pydantic import Field

from bridge.settings.frozen import Frozen
from bridge.settings.values import Colour, SettingPath, Support, Words


class Appearance(Frozen):
    """What learners see on the bridge's pages. A tenant may say anything of it differently."""

    name: Words | None = Field(default=None, examples=["Example Academy"])
    """What learners know the platform as."""
    logo: SettingPath | None = Field(default=None, examples=["pages/logo.svg"])
    """An image file (SVG, PNG, JPEG or WebP, at most 64 KiB), shown on every page in place of the name."""
    accent: Colour | None = None
    """The colour of buttons and links, as `#RRGGBB`. Links take the nearest shade of it that can be read."""
    accent_dark: Colour | None = None
    """The same where the learner's device is in dark mode; without it a lighter shade of `accent`."""
    support: Support | None = None
    """Where learners get help: an https URL, or `mailto:` and an address."""
    templates: SettingPath | None = Field(default=None, examples=["pages/templates"])
    """A folder of templates; one of the same name as the bridge's own takes its place (docs/pages.md)."""

    def over(self, service: Appearance) -> Appearance:
        """What this says, and of what it leaves out what the service says."""
        return service.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})
