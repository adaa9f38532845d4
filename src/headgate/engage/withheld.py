"""The log as Engage reads it: what deleted users have said is erased already, whether or not it is on disk.

Between the event log and the engine. The log's own erasing comes later, and may take its time.
"""

from collections.abc import Collection, Iterator, Mapping

from headgate.eventlog.block import Block, BlockWriter, Entry
from headgate.eventlog.erasing import Forgetting
from headgate.eventlog.interface import LogReader


class WithheldLog:
    """A log of which the messages of some users are withheld, each up to a number; nobody's at first."""

    def __init__(self, event_log: LogReader) -> None:
        self._log = event_log
        self._forgetting: Forgetting | None = None
        self._write = BlockWriter().build

    def withhold(self, cutoffs: Mapping[str, int]) -> None:
        """These users' messages are withheld from now on, up to each one's number, and nobody else's."""
        self._forgetting = Forgetting(cutoffs) if cutoffs else None

    def blocks(self, after_seq: int) -> Iterator[Block]:
        """As the log's, with what erasing leaves in place of what is withheld."""
        blocks = self._log.blocks(after_seq)
        return blocks if self._forgetting is None else map(self._without, blocks)

    def _without(self, block: Block) -> Block:
        contents = self._forgetting(block) if self._forgetting is not None else None
        return block if contents is None else Block(self._write(block.first_seq, 0, contents))

    # as the log has it

    def last_seq(self) -> int:
        return self._log.last_seq()

    def first_seq(self) -> int:
        return self._log.first_seq()

    def entry(self, seq: int) -> Entry:
        return self._log.entry(seq)

    def find(self, source: str, message_id: str) -> list[int]:
        return self._log.find(source, message_id)

    def find_any(self, hashes: Collection[int]) -> list[int]:
        return self._log.find_any(hashes)

    def close(self) -> None:
        self._log.close()
