"""A house with real processes: a gateway with its worker, and a Heap beside it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from house import House, workspace_yaml

from heap_view import Heap
from processes import Gateway

pytest.register_assert_rewrite("kills")  # its assertions say what they found, too


@pytest.fixture
def heap() -> Iterator[Heap]:
    """A Heap of the test's own."""
    with Heap() as one:
        yield one


@pytest.fixture
def config(heap: Heap, tmp_path: Path) -> Path:
    """A headgate.yaml that delivers to the test's Heap."""
    path = tmp_path / "headgate.yaml"
    path.write_text(workspace_yaml(heap))
    return path


@pytest.fixture
def gateway(config: Path, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway of the test's own, delivering to the test's Heap."""
    with Gateway(tmp_path / "data", config) as one:
        yield one


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One house for all tests that only send to it, each for users of its own."""
    directory = tmp_path_factory.mktemp("house")
    with Heap() as heap:
        (directory / "headgate.yaml").write_text(workspace_yaml(heap))
        with Gateway(directory / "data", directory / "headgate.yaml") as gateway:
            yield House(gateway, heap)
