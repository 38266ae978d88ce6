"""The cases that are known: each a small function that looks at one thing, and proposes a change or nothing.

They are tried in order of certainty, those first whose change has been tried and works.
"""
