"""The rows of history: what is kept of a message, as columns.

Between `tail`, which reads the log, and DuckDB, which takes columns of numpy as they are; nothing else gets
text into it as fast without another library.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np

from headgate.engage.observed import Observed

Columns = dict[str, Any]

# What a part has, in order. Objects are JSON text.
TYPES = {
    "seq": "BIGINT",
    "profile": "BIGINT",
    "at_ms": "BIGINT",
    "received_at_ms": "BIGINT",
    "message_id": "VARCHAR",
    "source": "VARCHAR",
    "name": "VARCHAR",
    "properties": "VARCHAR",
    "context": "VARCHAR",
    "traits": "VARCHAR",
    "identifiers": "VARCHAR",
}

Row = tuple[int, int, int, int, str, str, str, str, str, str, str]

_encode = msgspec.json.Encoder().encode


def row_of(profile: int, observed: Observed) -> Row:
    """A message of a profile, as a row."""
    return (
        observed.seq,
        profile,
        observed.at_ms,
        observed.received_at_ms,
        observed.message_id,
        observed.source,
        observed.name,
        _json(observed.properties),
        _json(observed.context),
        _json(observed.traits),
        _json(observed.identifiers),
    )


def columns_of(rows: Iterable[Row]) -> Columns:
    """The rows, turned into columns."""
    turned = list(zip(*rows, strict=True)) or [()] * len(TYPES)
    return {
        name: _column(values, type_)
        for (name, type_), values in zip(TYPES.items(), turned, strict=True)
    }


def _column(values: tuple[Any, ...], type_: str) -> Any:
    return np.array(values, dtype="i8" if type_ == "BIGINT" else object)


def _json(value: Any) -> str:
    return _encode(value).decode()
