"""Whether a learner may see a course."""
