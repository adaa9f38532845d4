"""What the tests of the app share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import House, opened


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path) as one:
        yield one
