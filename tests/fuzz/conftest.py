"""How long the fuzzers run: briefly with the other tests, as long as one likes with `make fuzz EXAMPLES=…`."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

EXAMPLES = "BRIDGE_FUZZ_EXAMPLES"

settings.register_profile(
    "fuzz",
    max_examples=int(os.environ.get(EXAMPLES, "250")),
    deadline=None,
    derandomize=EXAMPLES not in os.environ,
    print_blob=True,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink),
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much),
)
settings.load_profile("fuzz")
