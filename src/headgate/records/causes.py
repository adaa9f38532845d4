"""Why messages of a destination failed, cause by cause: those that got the same answer, in different words or not.

    dead letters, settled facts → the last answer of each → Cause

A destination may give the same answer to a wrong setting and to a wrong message. What tells them apart is what
happened to the others meanwhile: `delivered_meanwhile` is 0 when everything was refused.
"""

import re
from collections import Counter, defaultdict
from hashlib import blake2b

import msgspec
import numpy as np

from headgate.delivery.facts import FAILED, DeadLetter
from headgate.delivery.fold import Folded, Seqs
from headgate.delivery.reader import DeliveryReader, LetterHead
from headgate.records.words import in_words

_VARYING = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\b\d{3,}\b|\b[0-9a-f]{16,}\b")
_WORDS_CHARS = 200


class Cause(msgspec.Struct, frozen=True):
    """Messages that failed for one cause. `words` is the answer, without what differs from message to message.

    `reason` is the most frequent one of the messages, `key` what addresses name the cause by; it stays the
    same while there is such a cause. The times are when messages were given up on.
    """

    key: str
    words: str
    reason: str
    sentence: str
    remedy: str
    messages: int
    users: int
    first_at_ms: int
    last_at_ms: int
    delivered_meanwhile: int

    @property
    def is_refusal(self) -> bool:
        """Whether the destination said no, rather than nothing or not now."""
        return self.words.startswith("answered 400")

    @property
    def is_everything(self) -> bool:
        """Whether all messages of the time were refused: then a setting is wrong, not a message."""
        return self.is_refusal and not self.delivered_meanwhile and self.messages > 1


def causes(facts: DeliveryReader, destination: int) -> list[Cause]:
    """Every cause of messages that are failed now and kept, the one of the most messages first."""
    found = _by_words(facts, destination)
    told = (_told(facts, destination, words, letters) for words, letters in found.items())
    return sorted(told, key=lambda one: (-one.messages, one.words))


def letters_of(
    facts: DeliveryReader, destination: int, words: str, before: int | None, limit: int
) -> list[DeadLetter]:
    """The newest dead letters of a cause, by number, below `before`; newest first."""
    heads = _by_words(facts, destination).get(words, [])
    seqs = [one.seq for one in heads if before is None or one.seq < before]
    found = (facts.dead_letter(destination, seq) for seq in reversed(seqs[-limit:]))
    return [one for one in found if one is not None]


def numbers_of(facts: DeliveryReader, destination: int, words: str) -> set[int]:
    """The numbers of all messages of a cause."""
    return {one.seq for one in _by_words(facts, destination).get(words, [])}


def _by_words(facts: DeliveryReader, destination: int) -> dict[str, list[LetterHead]]:
    """The dead letters of each cause, ascending by number."""
    heads = facts.letter_heads(destination)
    if not heads:
        return {}
    seqs: Seqs = np.array([one.seq for one in heads], np.int64)
    failed = facts.failed_for(destination, heads[0].seq)
    answers = Folded(seqs, ((FAILED, _normalised(detail), found) for detail, found in failed))
    words_of = {
        seq: kind[1] for kind, some in answers.groups() if kind is not None for seq in some.tolist()
    }
    found: defaultdict[str, list[LetterHead]] = defaultdict(list)
    for one in heads:
        found[words_of.get(one.seq) or one.reason].append(one)
    return found


def _told(facts: DeliveryReader, destination: int, words: str, letters: list[LetterHead]) -> Cause:
    first_ms, last_ms = min(one.at_ms for one in letters), max(one.at_ms for one in letters)
    reason = Counter(one.reason for one in letters).most_common(1)[0][0]
    sentence, remedy = in_words(reason)
    return Cause(
        key=blake2b(words.encode(), digest_size=6).hexdigest(),
        words=words,
        reason=reason,
        sentence=sentence,
        remedy=remedy,
        messages=len(letters),
        users=len({one.user_id for one in letters}),
        first_at_ms=first_ms,
        last_at_ms=last_ms,
        delivered_meanwhile=facts.delivered_between(destination, first_ms, last_ms),
    )


def _normalised(detail: str) -> str:
    """The answer with its status as it is, and without ids and numbers in its text."""
    status, colon, text = detail.partition(": ")
    return (status + colon + _VARYING.sub("…", text))[:_WORDS_CHARS]
