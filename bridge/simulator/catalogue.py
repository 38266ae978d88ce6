"""What the imagined content provider offers: compliance training to assign, languages and videos for everybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Offer:
    """One course of the provider; `minutes` long, in the language it is taught in."""

    origin_id: str
    title: str
    kind: Literal["compliance", "language", "video"]
    minutes: int
    description: str
    language: str = "en"


CATALOGUE = (
    Offer(
        "cybersecurity-101", "Introduction to Cybersecurity", "compliance", 45, "Phishing, passwords, and what to do."
    ),
    Offer("data-privacy-basics", "Data Privacy Basics", "compliance", 40, "What the GDPR asks of everyday work."),
    Offer("code-of-conduct", "Code of Conduct", "compliance", 30, "How we treat each other, and our customers."),
    Offer("anti-bribery", "Preventing Bribery", "compliance", 35, "Gifts, invitations, and where the line is."),
    Offer("anti-money-laundering", "Preventing Money Laundering", "compliance", 50, "Knowing whom one deals with."),
    Offer("fire-safety", "Fire Safety at Work", "compliance", 20, "Exits, extinguishers, assembly points."),
    Offer("workplace-harassment", "Respect at Work", "compliance", 40, "Seeing harassment, and ending it."),
    Offer("export-controls", "Export Controls", "compliance", 55, "What may leave the country, and how."),
    Offer("incident-reporting", "Reporting an Incident", "compliance", 15, "Whom to tell, how soon, and what."),
    Offer("ergonomics", "Sitting and Standing Well", "compliance", 15, "Setting up a desk that does no harm."),
    Offer("lib-spanish-a1", "Spanish for Beginners", "language", 600, "From hola to ordering lunch.", "es"),
    Offer("lib-german-b1", "German for the Office", "language", 900, "Meetings, mails, and telephone calls.", "de"),
    Offer("lib-french-a2", "Everyday French", "language", 750, "Getting along in Paris and Lyon.", "fr"),
    Offer("lib-english-c1", "English for Presentations", "language", 500, "Speaking to a room, and its questions."),
    Offer("lib-feedback", "Giving Feedback", "video", 12, "Three sentences that help."),
    Offer("lib-remote-teams", "Leading Remote Teams", "video", 18, "Trust without a corridor."),
    Offer("lib-spreadsheets", "Spreadsheets that Last", "video", 25, "Formulas that somebody else can read."),
    Offer("lib-focus", "An Hour of Focus", "video", 9, "Turning notifications off, and why."),
    Offer("lib-first-aid", "First Aid in Five Minutes", "video", 5, "What to do until help comes."),
    Offer("lib-negotiation", "Negotiating Fairly", "video", 22, "Interests before positions."),
)
