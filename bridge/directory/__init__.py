"""The local copy of Kombo's users, courses and progressions: what keeps it fresh, and asks live what it lacks."""
