"""Why a learner was refused, and the one change that would let them in.

Whatever is judged here is judged by the very code of the service: the verifier, the resolver, the gate. What comes on
top is diagnosis: small functions, each for one case, that look at what the service does not look at, and propose a
change. An identity entry is proposed only after it has been tried, on a copy of the tenant; and so is any other line
for a tenant's file where the response is there to try it with.
"""

from bridge.explain.change import Change, Write
from bridge.explain.explanation import Explanation
from bridge.explain.records import change_for, explain_record
from bridge.explain.responses import explain_response

__all__ = ["Change", "Explanation", "Write", "change_for", "explain_record", "explain_response"]
