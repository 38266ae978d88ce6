"""Kombo's LMS API: the only room that speaks to Kombo.

client      one integration: lists, look-ups, actions
model       what the bridge reads of Kombo's objects
transport   one call: its deadline, its tries, the limit on its answer
answers     Kombo's envelopes, and what is an answer at all
meanings    what its error codes mean for an operator
pauses      how long to try, and how long to wait between tries
"""
