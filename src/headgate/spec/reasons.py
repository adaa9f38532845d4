"""Why a message did not go, or was given up on: every code once, with a sentence and what to do.

The same codes stand in the log, in `trace`, `audit`, metrics and the app.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One code, in words for people: what happened and what they can do about it."""

    code: str
    sentence: str
    remedy: str

    @property
    def is_harmless(self) -> bool:
        """Whether nobody has to do anything about it."""
        return self.remedy.startswith("Nothing to do")


_AT_THE_DOOR = (
    Reason(
        "unknown_write_key",
        "No source has this write key.",
        "Compare the library's write key with the source's; nothing was kept for delivery.",
    ),
    Reason(
        "source_disabled",
        "The source is disabled.",
        "Enable the source; messages sent meanwhile are not delivered later.",
    ),
    Reason(
        "no_ids",
        "The message has neither a userId nor an anonymousId.",
        "Set one of them in the call.",
    ),
    Reason("no_event_name", "The track call has no event name.", "Pass the name as text."),
    Reason(
        "message_too_large",
        "The message is larger than 32 KiB.",
        "Send less in one message, or split it.",
    ),
    Reason(
        "malformed_message",
        "The item of the batch is not a JSON object.",
        "Look at what the library put into the batch.",
    ),
    Reason(
        "unknown_type",
        "The type is none of identify, track, page, screen, group and alias.",
        "Correct the type; in a batch every message needs one.",
    ),
    Reason(
        "batch_too_long",
        "The message came after the 2,500th of its batch.",
        "Send smaller batches.",
    ),
    Reason(
        "suppressed",
        "The user is suppressed: nothing is taken in for them, and what was waiting did not go.",
        "Nothing to do, unless the user wants to be recorded again: headgate unsuppress USER.",
    ),
)

_BY_ROUTING = (
    Reason("destination_disabled", "The destination is disabled.", "Enable it, then replay."),
    Reason(
        "unsupported_type",
        "The destination takes identify and track calls only.",
        "Nothing to do: page, screen, group and alias have no counterpart at Heap.",
    ),
    Reason(
        "no_user_id",
        "The message has no userId, and Heap refuses anonymous events from servers.",
        "Set userId, or use device mode for anonymous visitors.",
    ),
    Reason(
        "junk_identity",
        "The userId is a placeholder such as null or guest; Heap would merge everybody into one user.",
        "Send the real userId, or change junkIdentities in the destination's settings.",
    ),
    Reason(
        "integrations_object",
        "The message's integrations object switches this destination off.",
        "Change integrations in the call when it should go.",
    ),
    Reason(
        "consent",
        "The user has not consented to the categories of this destination.",
        "Nothing to do, unless the categories in the destination's settings are wrong.",
    ),
    Reason(
        "device_mode",
        "The destination is in device mode; the page sends to it directly.",
        "Switch the connection mode to cloud when the server should send.",
    ),
    Reason(
        "sent_by_page",
        "The page that sent this message has already sent it to the destination itself.",
        "Nothing to do: the page was loaded before the switch to cloud mode.",
    ),
    Reason(
        "destination_removed",
        "The destination was removed from the workspace while the message was pending.",
        "Nothing to do: a destination that is added again is a new one, for messages from then on.",
    ),
    Reason(
        "erased",
        "The user was deleted before the message had gone; its content is erased.",
        "Nothing to do: only the messageId is left.",
    ),
    Reason(
        "unreadable_message",
        "The stored message could not be read back.",
        "Look at the message in its trace.",
    ),
)

_BY_MAPPING = (
    Reason(
        "null_trait",
        "The computed trait has no value any more, and Heap cannot unset a property.",
        "Set nullTraits of the destination to what Heap is to be told instead.",
    ),
    Reason(
        "identity_too_long",
        "The userId is longer than the 255 characters that Heap takes.",
        "Send a shorter userId; it is never cut, because that could merge users.",
    ),
    Reason(
        "event_name_too_long",
        "The event name is longer than the 1,024 characters that Heap takes.",
        "Send a shorter name, with the details in properties.",
    ),
)

_BY_DELIVERY = (
    Reason(
        "mapping_failed",
        "A fault in Headgate kept the message from being mapped.",
        "Look at the server's log, which has the details, and report it; then replay.",
    ),
    Reason(
        "refused",
        "Heap answered 400: it refuses this message.",
        "Read Heap's answer in the trace; when a setting was the cause, correct it and replay the dead"
        " letter, otherwise correct the sender.",
    ),
    Reason(
        "retry_window_over",
        "Heap did not take the message within the retry window.",
        "See why in the last answer, then replay the dead letters.",
    ),
    Reason(
        "destination_refusing",
        "The destination refused every message of every user for the whole retry window.",
        "Check its App ID and address, then replay the dead letters.",
    ),
)

REASONS: dict[str, Reason] = {
    reason.code: reason for reason in _AT_THE_DOOR + _BY_ROUTING + _BY_MAPPING + _BY_DELIVERY
}
DOOR_REASONS: frozenset[str] = frozenset(reason.code for reason in _AT_THE_DOOR)
DOOR_ONLY_REASONS: frozenset[str] = DOOR_REASONS - {
    "suppressed"
}  # what waits is discarded for it, too
