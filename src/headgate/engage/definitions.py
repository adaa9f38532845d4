"""From the registry's records to what is computed: a definition's text becomes a tree, `includeHistory` a span.

Between the registry, which keeps what people wrote, and those who compute: the plan, and history's second
opinion.
"""

from headgate.engage.computation.model import Computation
from headgate.engage.registry import Record
from headgate.language.parser import parse
from headgate.spec.settings import duration_s


def computation_of(record: Record) -> Computation:
    """The computation that a record is of."""
    return Computation(
        number=record.number,
        key=record.key,
        kind="audience" if record.is_audience else "trait",
        tree=parse(record.definition),
        created_at_ms=record.created_at_ms,
        history=history_of(record.include_history),
        include_anonymous=record.include_anonymous,
        wait=record.wait,
    )


def history_of(said: bool | str) -> bool | int:
    """Whether events from before the creation count, or how far back in milliseconds."""
    return said if isinstance(said, bool) else duration_s(said) * 1000
