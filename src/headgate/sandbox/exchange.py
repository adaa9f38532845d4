"""A request as it came, what Heap makes of it, and the reply that goes out."""

import msgspec

from headgate.sandbox.faults import Answer

HEAPS_OWN = Answer()


class Request(msgspec.Struct, frozen=True):
    """A request on the Heap side. `size_bytes` counts what arrived, `body` keeps at most the limit."""

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    size_bytes: int = 0

    def header(self, name: str) -> str:
        """The first header of this lower-case name, "" when there is none."""
        return next((value for found, value in self.headers if found == name), "")


class Outcome(msgspec.Struct):
    """What Heap makes of a request; `verdict` is one of the words in `journal`."""

    status: int
    verdict: str
    body: bytes = b"{}"
    content_type: str = "application/json"
    headers: dict[str, str] = {}
    app_id: str = ""
    error: str = ""
    rows: int = 0
    stored: int = 0
    duplicates: int = 0
    ignored: int = 0
    skipped: int = 0
    undocumented: tuple[str, ...] = ()

    @classmethod
    def refused(cls, status: int, error: str) -> "Outcome":
        """A refusal whose body says why, in the loose shape clients have seen from Heap."""
        return cls(status, "rejected", msgspec.json.encode({"error": error}), error=error)


class Reply(msgspec.Struct, frozen=True):
    """What goes out, and how: `how` holds delays, cuts and encodings when a fault is played."""

    status: int
    headers: dict[str, str]
    body: bytes
    how: Answer = HEAPS_OWN
