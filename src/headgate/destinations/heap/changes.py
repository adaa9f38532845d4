"""What mapping did to each value of a message, in words: the message as it came beside the row for Heap.

Told from the two of them, not by the mapping itself, which has no time for it: whatever mapped the message,
every value that Heap is sent in another form, under another name, or not at all, is named here.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from headgate.destinations.heap.flatten import MAX_CHARACTERS

_DROPPED = "dropped"
_FORBIDDEN = frozenset({"id", "user_id"})
_LIBRARY = "segment_library"

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Change(NamedTuple):
    """What became of one value.

    `path` is where it stood in the message, "" when it was not there; `name` is Heap's, "" when it is not sent.
    """

    path: str
    name: str
    what: str


class _Leaf(NamedTuple):
    path: str
    name: str
    value: Any
    is_nested: bool


def changes(message: dict[str, Any], row: bytes) -> list[Change]:
    """Every value of a normalised message that Heap gets differently, in the order of the message."""
    sent = _decode(row)
    field = "properties" if "event" in sent else "traits"
    given = message.get(field)
    leaves = list(_leaves(field, given if isinstance(given, dict) else {}))
    properties = sent["properties"]
    told = list(_told(leaves, properties))
    known = {leaf.name for leaf in leaves} | {one.name for one in told}
    return [*_of_the_time(message, sent), *told, *_added(known, properties)]


def _of_the_time(message: dict[str, Any], sent: dict[str, Any]) -> Iterator[Change]:
    given, at = message.get("originalTimestamp"), sent.get("timestamp")
    if given is not None and at is not None and given != at:
        yield Change("timestamp", "timestamp", f"became {at}")


def _leaves(field: str, members: dict[str, Any]) -> Iterator[_Leaf]:
    """Every value that is no object with members; without recursion, however deep it lies."""
    walk = [("", iter(members.items()))]
    while walk:
        prefix, entries = walk[-1]
        for key, value in entries:
            name = prefix + key
            if isinstance(value, dict) and value:
                walk.append((f"{name}.", iter(value.items())))
                break
            yield _Leaf(f"{field}.{name}", name, value, len(walk) > 1)
        else:
            walk.pop()


def _told(leaves: list[_Leaf], sent: dict[str, Any]) -> Iterator[Change]:
    winners = _winners(leaves)
    for leaf in leaves:
        if leaf.name not in sent:
            yield _absent(leaf, sent)
        elif leaf is not winners[leaf.name]:
            why = _why_dropped(leaf) or "a later value of the same name stands instead:"
            yield Change(leaf.path, "", f"{why} {_DROPPED}")
        elif what := _difference(leaf.value, sent[leaf.name]):
            yield Change(leaf.path, leaf.name, what)
        elif leaf.is_nested:
            yield Change(leaf.path, leaf.name, "")


def _winners(leaves: list[_Leaf]) -> dict[str, _Leaf]:
    """Of the leaves with one name the one that is sent: the last that is not dropped for what it is."""
    kept = {leaf.name: leaf for leaf in leaves if not _why_dropped(leaf)}
    return {leaf.name: leaf for leaf in leaves} | kept


def _absent(leaf: _Leaf, sent: dict[str, Any]) -> Change:
    if leaf.name == "email" and "_email" in sent:
        return Change(leaf.path, "_email", "renamed")
    return Change(leaf.path, "", f"{_why_dropped(leaf)} {_DROPPED}".strip())


def _why_dropped(leaf: _Leaf) -> str:
    if leaf.value is None:
        return "null"
    if leaf.value == {}:
        return "empty object"
    if leaf.name.lower() in _FORBIDDEN:
        return "Heap forbids a user property of this name:"
    if len(leaf.name) > MAX_CHARACTERS:
        return f"name of more than {MAX_CHARACTERS:,} characters:"
    if isinstance(leaf.value, int | float) and not _is_finite(leaf.value):
        return "not a finite number:"
    return ""


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _difference(value: Any, sent: Any) -> str:
    if isinstance(value, list):
        return "list became text" + _cut_note(sent)
    if type(value) is type(sent) and value == sent:
        return ""
    if value is None:
        return f"null became {_json(sent)}"
    if isinstance(value, str) and isinstance(sent, str):
        is_cut = len(value) > MAX_CHARACTERS >= len(sent)
        return (
            f"cut from {len(value):,} to {len(sent):,} characters" if is_cut else f"became {sent}"
        )
    return f"became {_json(sent)}"


def _cut_note(text: Any) -> str:
    return ", cut" if isinstance(text, str) and len(text) == MAX_CHARACTERS else ""


def _added(known: set[str], sent: dict[str, Any]) -> Iterator[Change]:
    for name in sent:
        if name not in known:
            yield Change("", name, f"added: {_origin(name, sent[name])}")


def _origin(name: str, value: Any) -> str:
    if name == _LIBRARY:
        return "the name of the library" if value else "empty, the library is not known"
    if name == "id":
        return "the userId"
    return "an e-mail address from elsewhere in the message" if name == "_email" else _json(value)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
