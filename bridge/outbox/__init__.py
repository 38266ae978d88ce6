"""Durable writes to Kombo: what was accepted is on disk, and reaches Kombo once, whatever happens in between.

outbox      taking a write in
aim         which effect a report has: one that is there already, or a new one
carrier     the background work: which integrations have something to send, and who sends it
lane        one integration: order, how many at a time, pauses
delivery    one write: look up, enrol, complete
latecomers  what had nothing to write, and has now
verdicts    what an answer that is no success means
pace        how long all of that waits
traces      what became of what was written
"""
