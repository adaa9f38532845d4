"""How deep models and crash states are searched: seconds in CI, as long as somebody likes by hand.

`TEST_DEPTH=50 pytest tests/model tests/torn` tries fifty times as many examples as usual.
"""

import os

from hypothesis import settings

_DEPTH = int(os.environ.get("TEST_DEPTH", "1"))


def search(examples: int, *, steps: int = 50) -> settings:
    """Settings of a test that usually tries this many examples; `steps` is the length of a model's runs."""
    return settings(max_examples=examples * _DEPTH, stateful_step_count=steps, deadline=None)
