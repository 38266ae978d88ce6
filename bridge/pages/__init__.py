"""What a learner reads, and what a program reads in its place."""

from bridge.pages.look import Look
from bridge.pages.pages import ORGANIZATIONS, Looks, Page, Pages, RefusalLinks
from bridge.pages.problems import MEDIA_TYPE, problem
from bridge.pages.references import reference

__all__ = ["MEDIA_TYPE", "ORGANIZATIONS", "Look", "Looks", "Page", "Pages", "RefusalLinks", "problem", "reference"]
