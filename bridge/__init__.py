"""The Kombo identity bridge: who is this learner, whose are they, and may they see this course.

`bridge.app` puts the rooms together and is where to start reading.
"""
