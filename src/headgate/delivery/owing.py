"""Who owes a message an outcome: the destinations connected to its source when it was accepted.

Between the log and delivery, trace and audit, which have to agree on it.
"""

from headgate.workspace.versions import Versions

_KEPT = 4096


class Owing:
    """Answers from the workspace version that a message's envelope names. For one thread."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions
        self._kept: dict[tuple[int, str], dict[int, str]] = {}

    def destinations(self, version: int, source: str) -> dict[int, str]:
        """The slugs of the destinations by id, in the workspace's order; raises `UnknownVersion`."""
        found = self._kept.get((version, source))
        if found is None:
            ready = self._versions.at(version)
            found = {
                ready.destination_ids[destination.slug]: destination.slug
                for destination in ready.workspace.destinations_of(source)
            }
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[version, source] = found
        return found
