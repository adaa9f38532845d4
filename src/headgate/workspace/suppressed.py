"""Who is suppressed, kept in memory for the doors and for delivery, who ask for every message."""

from headgate.workspace.privacy import PrivacyReader


class SuppressedUsers:
    """The list as it was when it was last looked at. `read` may run in a thread of its own."""

    def __init__(self, store: PrivacyReader) -> None:
        self._store = store
        self._change = -1
        self.users: frozenset[str] = frozenset()

    def __call__(self) -> frozenset[str]:
        """Everybody who is suppressed."""
        return self.users

    def read(self) -> None:
        """Looks again, when the list has changed; raises `StoreBusy` or `UnusableStore`."""
        change = self._store.suppression_change()
        if change != self._change:  # asked first: what is added in between is found next time
            self.users = self._store.suppressed()
            self._change = change
