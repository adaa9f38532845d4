"""Whose messages must not go: asked before a message is routed, and again of all that waits after a change.

The doors refuse what suppressed users send; this is about what was accepted before. Messages that the log
itself has forgotten say so by themselves.
"""

from headgate.workspace.privacy import Deletion, PrivacyReader, cutoffs_of
from headgate.workspace.suppressed import SuppressedUsers


class Withheld:
    """Suppressed users, and deleted ones up to their last message from before. `deletions` are theirs.

    Everything is as it was when it was last read; nobody is withheld before the first time.
    """

    def __init__(self, privacy: PrivacyReader) -> None:
        self._privacy = privacy
        self._suppressed = SuppressedUsers(privacy)
        self._cutoffs: dict[str, int] = {}
        self.deletions: list[Deletion] = []

    def reason(self, user_id: str, seq: int) -> str:
        """Why the message must not go; "" when it may. `user_id` is "" for an anonymous one."""
        if seq <= self._cutoffs.get(user_id, 0):
            return "erased"
        return "suppressed" if user_id in self._suppressed.users else ""

    def read(self) -> bool:
        """Reads what is recorded now; whether what waits has to be looked at again.

        It has when more is forbidden than before, and when the log has forgotten somebody. Raises
        `StoreError`, and then nothing has changed.
        """
        deletions = [one for one in self._privacy.open_deletions() if one.cutoff_seq is not None]
        suppressed = self._suppressed.users
        self._suppressed.read()
        before, self._cutoffs = self._cutoffs, cutoffs_of(deletions)
        self.deletions = deletions
        return before != self._cutoffs or not self._suppressed.users <= suppressed
