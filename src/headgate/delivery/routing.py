"""Whether a message is meant for a destination, and if not, why. Pure; the stage before mapping.

The order of the questions is the order of the answers people expect: first what the workspace says,
then what the message is, then what its sender and its user want.
"""

from typing import Any, NamedTuple

from headgate.destinations.interface import Destination as Kind
from headgate.destinations.interface import Discard, Row
from headgate.spec.consent import consents
from headgate.spec.integrations import refused_by
from headgate.spec.names import engage_destination
from headgate.workspace.model import Destination, Workspace

DEVICE = "device"


class Router:
    """The decisions for one configured destination, with what it needs of the workspace at hand.

    Two are equal when they decide alike, whatever else has changed in the workspace.
    """

    def __init__(self, destination: Destination, kind: Kind, workspace: Workspace) -> None:
        self._destination = destination
        self._kind = kind
        self._settings = destination.settings
        self._junk = {str(junk).strip().lower() for junk in self._settings["junkIdentities"]}
        self._categories = self._settings["consentCategories"]
        self._by_device = destination.connection_mode == DEVICE
        in_pages = [
            other
            for other in workspace.destinations_of(destination.source_id)
            if other.connection_mode == DEVICE and other.metadata_id == destination.metadata_id
        ]
        self._page_may_send = any(other.enabled for other in in_pages)
        self._slugs = {destination.slug, *(other.slug for other in in_pages)}
        self._decides_by = (destination, self._page_may_send, self._slugs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Router) and self._decides_by == other._decides_by

    __hash__ = None  # type: ignore[assignment]

    def row(self, message: dict[str, Any], source: str) -> Row | Discard:
        """The message of this source as the destination's row, or why it is not meant to go."""
        return self.refusal(message, source) or self._kind.map_row(message, self._settings)

    def refusal(self, message: dict[str, Any], source: str) -> Discard | None:
        """Why the message is not meant for the destination; None when it is.

        What Engage says of users no page can say, whatever the connection mode.
        """
        if not self._destination.enabled:
            return Discard("destination_disabled")
        if message.get("type") not in self._kind.call_types:
            return Discard("unsupported_type", f"type {message.get('type')}")
        if engage_destination(source):
            return self._refusal_by_value(message) or self._refusal_by_user(message)
        return self._refusal_by_mode(message) or self._refusal_by_user(message)

    def _refusal_by_value(self, message: dict[str, Any]) -> Discard | None:
        """Engage tells one trait at a time; that it has no value any more is for settings to put into words."""
        key = message["context"]["personas"]["computation_key"]
        if message["traits"][key] is None and self._settings["nullTraits"] is None:
            return Discard("null_trait")
        return None

    def _refusal_by_mode(self, message: dict[str, Any]) -> Discard | None:
        page = _Page.of(message)
        has_failed = self._kind.name in page.failed
        if self._by_device:
            if not has_failed:
                return Discard("device_mode")
            if self._settings["fallbackToCloud"]:
                return None
            return Discard("device_mode", f"{self._kind.name}'s script did not load in the page")
        if self._was_sent_by(page) and not has_failed:
            return Discard("sent_by_page")
        return None

    def _was_sent_by(self, page: "_Page") -> bool:
        """Whether the page sent the message to this very destination, which was in device mode then.

        A page of ours names the destinations; any other only their kind.
        """
        if self._slugs.isdisjoint(page.bundled_ids):
            return self._kind.name in page.bundled and not self._page_may_send
        return self._destination.slug in page.bundled_ids

    def _refusal_by_user(self, message: dict[str, Any]) -> Discard | None:
        user_id = message.get("userId")
        if not user_id or not user_id.strip():
            return Discard("no_user_id")
        if user_id.strip().lower() in self._junk:
            return Discard("junk_identity", f"userId {user_id!r}")
        if not consents(message.get("context"), self._categories):
            return Discard("consent", "needs " + ", ".join(self._categories))
        switched_off_by = refused_by(message.get("integrations"), self._kind.name)
        if switched_off_by is not None:
            return Discard("integrations_object", f"integrations.{switched_off_by} is false")
        return None


class Removed:
    """The router of a destination that was removed: nothing goes any more."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Removed)

    __hash__ = None  # type: ignore[assignment]

    def row(self, message: dict[str, Any], source: str) -> Discard:
        """Why the message does not go."""
        return Discard("destination_removed")


class _Page(NamedTuple):
    """What analytics.js says of its page: the kinds and slugs it sends to itself, the kinds that failed to load."""

    bundled: list[Any]
    bundled_ids: list[Any]
    failed: list[Any]

    @classmethod
    def of(cls, message: dict[str, Any]) -> "_Page":
        said = message.get("_metadata")
        if not isinstance(said, dict):
            return _NO_PAGE
        return cls(*(_list(said.get(name)) for name in _PAGE_LISTS))


_PAGE_LISTS = ("bundled", "bundledIds", "failedInitializations")
_NO_PAGE = _Page([], [], [])


def _list(value: Any) -> list[Any]:
    """Its texts; of anything but a list, none."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
