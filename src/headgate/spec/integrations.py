"""The integrations object: which destinations a sender wants its message to reach.

Delivery asks here, per message and destination, before mapping. The rules, with what Segment's own
code does where its pages are silent:

- A key with the destination's exact name beats `All`; `all` counts as `All` when that is not there.
  https://segment.com/docs/guides/filtering-data/#filtering-with-the-integrations-object
- Only `false` says no. An object of options means yes, and so does any odd value (0, "false"):
  analytics.js compares `All` with `false` alone, and Segment's servers' library, facade, reads
  nothing but booleans as a decision. https://github.com/segmentio/facade
- `null` says nothing, so the next rule decides (analytics.js falls through in the same way).
- Without an object there are no wishes: the message goes everywhere.
"""

_ALL = ("All", "all")


def allows(integrations: object, name: str) -> bool:
    """Whether a message with this integrations object may go to the destination called `name`."""
    return refused_by(integrations, name) is None


def refused_by(integrations: object, name: str) -> str | None:
    """The key that keeps the message from the destination called `name`; `None` when it may go."""
    if not isinstance(integrations, dict):
        return None
    for key in (name, *_ALL):
        value = integrations.get(key)
        if value is not None:
            return key if value is False else None
    return None
