"""Judges each line of requests by the snippet beside it; one line of JSON in, one out."""

import json
import sys

from identity import identity

for line in sys.stdin:
    values = [value for name, value in json.loads(line) if name.lower() == "x-kombo-assertion"]
    try:
        said = {"claims": identity(values)}
    except Exception as error:
        said = {"refused": f"{type(error).__name__}: {error}"}
    print(json.dumps(said), flush=True)
