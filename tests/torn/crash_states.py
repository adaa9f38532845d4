"""Directories as a crash may leave them, rebuilt from copies that were taken after every acknowledged write.

What was written before the last acknowledgement has been synced and is there. Of what was written after
it, any sector may be there and any may not. SQLite syncs a journal before it touches the database, and a
database before it drops the journal; so only one file at a time is torn: those before it in that order
are finished, those after it not begun.
"""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

SECTOR_BYTES = 512

Damaging = Literal["dropped", "cut", "zeroed", "flipped"]
DAMAGINGS: tuple[Damaging, ...] = get_args(Damaging)


class Files(dict[str, bytes]):
    """A directory's files by name."""

    def __repr__(self) -> str:
        return f"Files({ ({name: len(content) for name, content in self.items()}) })"


def copied(directory: Path) -> Files:
    """Every file that matters after a crash. The shared index of a journal (-shm) does not survive one."""
    return Files(
        (path.name, path.read_bytes())
        for path in sorted(directory.iterdir())
        if path.is_file() and not path.name.endswith("-shm")
    )


def laid_out(files: Files, directory: Path) -> Path:
    """The files as a new directory."""
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return directory


def crashed_between(before: Files, after: Files, chance: random.Random) -> Files:
    """A state that a crash may leave while `before` was becoming `after`."""
    changed = sorted(
        (name for name in before.keys() | after.keys() if before.get(name) != after.get(name)),
        key=lambda name: _turn(name, before, after),
    )
    state = Files(before)
    if not changed:
        return state
    at = chance.randrange(len(changed))
    for name in changed[:at]:
        _replace(state, name, after.get(name))
    kept_share = chance.choice([0.0, 0.5, 0.9, 1.0])
    torn = changed[at]
    if torn in after:
        is_kept = lambda _: chance.random() < kept_share  # noqa: E731
        state[torn] = torn_write(before.get(torn, b""), after[torn], is_kept)
    return state


def torn_write(before: bytes, after: bytes, is_kept: Callable[[int], bool]) -> bytes:
    """Of the sectors that differ, those that were kept; what lies between them reads as it was, or as zeros."""
    torn = bytearray(before)
    for at in range(0, len(after), SECTOR_BYTES):
        sector = after[at : at + SECTOR_BYTES]
        if before[at : at + SECTOR_BYTES] != sector and is_kept(at):
            torn.extend(bytes(max(0, at + len(sector) - len(torn))))
            torn[at : at + len(sector)] = sector
    return bytes(torn)


def damaged(content: bytes, kind: Damaging, where: float) -> bytes:
    """What a disk makes of a file that it never synced, or does not keep; `where` is a share of its length."""
    at = int(where * len(content))
    match kind:
        case "dropped":
            return b""
        case "cut":
            return content[:at]
        case "zeroed":
            return content[:at] + bytes(len(content) - at)
        case "flipped":
            return flipped(content, int(where * 8 * len(content)))


def flipped(content: bytes, bit: int) -> bytes:
    """The content with one bit changed."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _turn(name: str, before: Files, after: Files) -> tuple[int, str]:
    """When a file's change is synced, among the others': journal, database, going files, new ones."""
    if name not in after:
        return 2, name
    if name not in before:
        return (4 if name.endswith("-wal") else 3), name
    return (0 if name.endswith("-wal") else 1), name


def _replace(files: Files, name: str, content: bytes | None) -> None:
    if content is None:
        del files[name]
    else:
        files[name] = content
