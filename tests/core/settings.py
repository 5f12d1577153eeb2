"""How long hypothesis looks; ``REGROW_EXAMPLES`` multiplies it."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

THOROUGH = float(os.environ.get("REGROW_EXAMPLES", "1"))


def _profile(examples: int, steps: int) -> settings:
    return settings(
        max_examples=max(1, int(examples * THOROUGH)),
        stateful_step_count=steps,
        deadline=None,
        print_blob=True,
        derandomize=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


MODEL = _profile(150, 25)
CHAOS = _profile(75, 40)
