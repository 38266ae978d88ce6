"""Kombo's LMS API: the only room that speaks to Kombo."""

from bridge.kombo.answers import Page
from bridge.kombo.client import KomboClient, askable
from bridge.kombo.model import BulkTask, Course, CourseItem, Integration, Progression, Revision, User
from bridge.kombo.pauses import Patience
from bridge.kombo.transport import http_client

__all__ = [
    "BulkTask",
    "Course",
    "CourseItem",
    "Integration",
    "KomboClient",
    "Page",
    "Patience",
    "Progression",
    "Revision",
    "User",
    "askable",
    "http_client",
]
