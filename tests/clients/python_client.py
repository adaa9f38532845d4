"""Makes the calls of a plan with a Segment library for Python, and prints the messages that it made.

The plan comes as JSON on stdin; its `module` names the library: `segment.analytics.client` is
segment-analytics-python, `analytics.client` its predecessor analytics-python.
"""

import importlib
import json
import sys
from datetime import datetime
from typing import Any


def main() -> None:
    plan = json.load(sys.stdin)
    library = importlib.import_module(plan["module"])
    client = library.Client(plan["writeKey"], host=plan["url"], gzip=plan["gzip"])
    messages = [_call(client, call, plan["userId"]) for call in plan["calls"]]
    client.flush()
    client.join()
    shown = ("messageId", "type", "event")
    json.dump([{name: one.get(name) for name in shown} for one in messages], sys.stdout)


def _call(client: Any, call: dict[str, Any], user_id: str) -> dict[str, Any]:
    arguments = {name: _native(value) for name, value in call.items() if name != "call"}
    for theirs, ours in (("groupId", "group_id"), ("previousId", "previous_id")):
        if theirs in arguments:
            arguments[ours] = arguments.pop(theirs)
    accepted, message = getattr(client, call["call"])(user_id=user_id, **arguments)
    if not accepted:
        raise SystemExit(f"the library's queue is full at {call}")
    return dict(message)


def _native(value: Any) -> Any:
    """What the plan says in JSON as Python says it: dates are datetimes."""
    if isinstance(value, list):
        return [_native(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$date" in value:
        return datetime.fromisoformat(value["$date"])
    return {name: _native(item) for name, item in value.items()}


if __name__ == "__main__":
    main()
