"""A telling in vain: a value that a destination was to be told of a person, and never got.

Between `hearing.py`, which learns of it, and the profile, which then no longer takes it for told.
"""

from typing import NamedTuple

from headgate.engage.identifies import message_id_of
from headgate.engage.profile import Identifier, Profile, Sent

_LOOKED_BACK = 20  # more tellings of one value to one destination are hardly ever under way
_PAUSE_MS = 1_000
_LONGEST_PAUSE_MS = 3_600_000


class InVain(NamedTuple):
    """A telling that did not arrive; `line` is the computation and the destination, as profiles name them."""

    user: Identifier
    line: str
    destination: str
    computation_id: str
    message_id: str

    def number_in(self, sent: Sent) -> int:
        """Its number among the tellings of which `sent` is the last; 0 when it is none of them."""
        newest = sent.number
        for number in range(newest, newest - min(sent.times, _LOOKED_BACK), -1):
            said = message_id_of(self.computation_id, self.destination, self.user.value, number)
            if said == self.message_id:
                return number
        return 0


def take_back(profile: Profile, told: InVain) -> bool:
    """The profile does not take it for told any more; whether it did.

    What is owed is told again when something happens, the first time at once, then after a pause that doubles
    with every telling in vain: a destination may go on refusing it, and a person may be busy.
    """
    sent = profile.sent.get(told.user.value, {})
    last = sent.get(told.line)
    number = told.number_in(last) if last is not None else 0
    if last is None or not number:
        return False
    sent[told.line] = now = last.without(number)
    if now.is_lost:
        profile.owed_from_ms = now.at_ms + _pause_ms(len(now.lost))
    return True


def _pause_ms(times: int) -> int:
    return min(_PAUSE_MS << (times - 2), _LONGEST_PAUSE_MS) if times > 1 else 0
