"""Whether a directory can be gone about with: damage, and directories of something else."""

from pathlib import Path

import pytest

from data_dirs import DataDir, destination
from headgate.delivery.facts import DELIVERED
from headgate.engage.store import EngageStore
from headgate.stores import ENGAGE, DamagedStore, check_readable, trouble_of_engage

STORES = ("delivery/delivery.db", "refused.db")


@pytest.fixture
def stored(tmp_path: Path) -> DataDir:
    """A data directory with every store."""
    data_dir = DataDir(tmp_path)
    data_dir.use(destinations=[destination()])
    data_dir.accept("m-1")
    data_dir.settle(DELIVERED, 1, cursor=1)
    data_dir.refuse("r-1", "unknown_write_key", source="")
    EngageStore(data_dir.path / ENGAGE).close()
    return data_dir


@pytest.mark.parametrize("thoroughly", [False, True])
def test_whole_stores_and_missing_ones_pass(
    stored: DataDir, tmp_path: Path, thoroughly: bool
) -> None:
    """There may be nothing to be damaged yet."""
    check_readable(stored.path, thoroughly=thoroughly)
    check_readable(tmp_path / "missing", thoroughly=thoroughly)
    assert trouble_of_engage(stored.path) == trouble_of_engage(tmp_path / "missing") == ""


@pytest.mark.parametrize("name", STORES)
def test_what_is_no_database_any_more_is_found_at_a_glance(name: str, stored: DataDir) -> None:
    """Its name and what to move away are in the words."""
    (stored.path / name).write_bytes(b"nothing of the kind" * 1000)
    short = Path(name).name
    with pytest.raises(DamagedStore, match=f"move {short} away, with {short}-wal and {short}-shm"):
        check_readable(stored.path)


@pytest.mark.parametrize("name", [*STORES, ENGAGE])
def test_damage_behind_the_first_page_is_found_by_a_thorough_look(
    name: str, stored: DataDir
) -> None:
    """A glance does not see it."""
    path = stored.path / name
    content = path.read_bytes()
    path.write_bytes(content[:-4096] + b"\xa5" * 4096)
    check_readable(stored.path)
    with pytest.raises(DamagedStore, match=name):
        check_readable(stored.path, thoroughly=True)


def test_a_damaged_store_of_engage_is_told_and_keeps_nothing_else_from_working(
    stored: DataDir,
) -> None:
    """Delivery goes on without it; its directory goes as a whole, since history hangs on it."""
    (stored.path / ENGAGE).write_bytes(b"nothing of the kind" * 1000)
    check_readable(stored.path)
    trouble = trouble_of_engage(stored.path)
    assert (
        f"{stored.path / ENGAGE} is damaged and cannot be read (file is not a database)" in trouble
    )
    assert f"move {stored.path / 'engage'} away" in trouble
    with pytest.raises(DamagedStore, match="the server delivers without Engage"):
        check_readable(stored.path, thoroughly=True)
