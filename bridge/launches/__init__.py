"""Launches: what became of each learner on the way from a deep link to the platform's first answer."""
