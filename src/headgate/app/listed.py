"""How the management API changes what a workspace lists: sources, destinations, audiences, computed traits.

The way of every change (`editing.py`), with two things of programs: a caller may say in `If-Match` which
version it has read, and problems are told by their place in what it sent.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from headgate.app.editing import Edit, Refused, save
from headgate.app.operations import Overtaken, Unprocessable
from headgate.app.visit import Call, NothingHere
from headgate.workspace.errors import UnknownVersion
from headgate.workspace.model import Document

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Listed:
    """One list of a document. `one` is a thing of it in words, `place` where problems say that it is.

    `items` finds it and may make an empty one; `id_of` names each.
    """

    one: str
    place: str
    items: Callable[[Document], list[Item]]
    id_of: Callable[[Mapping[str, Any]], str]

    def all(self, asked: Call) -> list[Item]:
        """Everything, as the newest version has it."""
        return self.items(_newest(asked))

    def get(self, asked: Call, name: str) -> Item:
        """One of them; raises `NothingHere`."""
        return self._found(_newest(asked), name)

    def add(self, asked: Call, item: Item) -> Item:
        """Adds one, and returns it as it is stored."""
        places = _Places()

        def edit(document: Document) -> None:
            items = self.items(document)
            places.index = len(items)
            items.append(item)

        return self._at(asked, self._saved(asked, edit, places), places.index)

    def change(self, asked: Call, name: str, change: Callable[[Item], None]) -> Item:
        """Changes one, unless it is another than the caller has read; returns it as it is stored."""
        places = _Places()

        def edit(document: Document) -> None:
            found = self._unchanged(asked, document, name)
            places.index = self.items(document).index(found)
            change(found)

        return self._at(asked, self._saved(asked, edit, places), places.index)

    def remove(self, asked: Call, name: str) -> None:
        """Takes one out, unless it is another than the caller has read."""

        def edit(document: Document) -> None:
            self.items(document).remove(self._unchanged(asked, document, name))

        self._saved(asked, edit, _Places())

    def _found(self, document: Document, name: str) -> Item:
        found = next((one for one in self.items(document) if self.id_of(one) == name), None)
        if found is None:
            raise NothingHere(f"There is no {self.one} {name}.")
        return found

    def _unchanged(self, asked: Call, document: Document, name: str) -> Item:
        found, read = self._found(document, name), _as_read(asked)
        if read is not None and self._found(read, name) != found:
            raise Overtaken(f"The {self.one} {name} was changed since that version.")
        return found

    def _saved(self, asked: Call, edit: Edit, places: "_Places") -> int:
        try:
            return save(asked.parts, asked.actor, edit).version
        except Refused as refused:
            inner = f"{self.place}[{places.index}]."
            raise Unprocessable(
                {path.removeprefix(inner): text for path, text in refused.problems.items()}
            ) from None

    def _at(self, asked: Call, version: int, index: int) -> Item:
        return self.items(asked.parts.workspace_reader.at(version).document)[index]


@dataclass(slots=True)
class _Places:
    """Where the edited item stands in the document that was edited last."""

    index: int = -1


def merged(into: Item, patch: Mapping[str, Any]) -> None:
    """Lays a patch over values: null takes one out, an object goes on inside. https://www.rfc-editor.org/rfc/rfc7386"""
    for name, value in patch.items():
        inner = into.get(name)
        if value is None:
            into.pop(name, None)
        elif isinstance(value, dict) and isinstance(inner, dict):
            merged(inner, value)
        else:
            into[name] = value


def _newest(asked: Call) -> Document:
    return asked.parts.workspace_reader.current().document


def _as_read(asked: Call) -> Document | None:
    """The document of the version in `If-Match`; None without one."""
    named = asked.request.headers.get("if-match", "*").strip()
    if named == "*":
        return None
    number = named.strip('"')
    try:
        if number.isascii() and number.isdigit() and len(number) < 16:
            return asked.parts.workspace_reader.at(int(number)).document
    except UnknownVersion:
        pass
    raise Overtaken(f"There is no version {named}.")
