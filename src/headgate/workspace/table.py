"""The settings table of headgate.yaml: every key it may hold, as rows like those of a destination.

Names, links and modes are literal: a change of environment must not rename or reconnect anything.
Validation, defaults, diff, docs and the app's forms read these rows. The settings of a destination
are its catalog entry's own rows; `destination_table` puts them in their place.
"""

from collections.abc import Mapping
from dataclasses import replace

from headgate.spec.settings import Kind, Setting

Catalog = Mapping[str, tuple[Setting, ...]]  # settings by metadataId

DEFAULT_METADATA_ID = "heap"

SOURCE = (
    Setting(
        "slug",
        Kind.SLUG,
        "The name that other parts of the workspace use.",
        required=True,
        literal=True,
    ),
    Setting("name", Kind.TEXT, "The name that people read; the slug when left out."),
    Setting(
        "type",
        Kind.CHOICE,
        "Where the library runs. Only websites can use device mode.",
        default="server",
        literal=True,
        choices=("website", "mobile", "server"),
    ),
    Setting("enabled", Kind.FLAG, "Off: its messages are discarded with a reason.", default=True),
    Setting(
        "writeKeys",
        Kind.WRITE_KEYS,
        "Keys that Segment libraries authenticate with; several allow a change of key.",
        default=(),
    ),
)

DESTINATION = (
    Setting(
        "slug",
        Kind.SLUG,
        "The name that other parts of the workspace use.",
        required=True,
        literal=True,
    ),
    Setting("name", Kind.TEXT, "The name that people read; the slug when left out."),
    Setting(
        "metadataId",
        Kind.SLUG,
        "The entry of the catalog.",
        default=DEFAULT_METADATA_ID,
        literal=True,
    ),
    Setting(
        "sourceId",
        Kind.SLUG,
        "The slug of the source that feeds it.",
        required=True,
        literal=True,
    ),
    Setting("enabled", Kind.FLAG, "Off: its messages are discarded; replayable.", default=True),
    Setting(
        "connectionMode",
        Kind.CHOICE,
        "cloud: delivered by the server. device: by the destination's own script in the page.",
        default="cloud",
        literal=True,
        choices=("cloud", "device"),
    ),
    Setting("settings", Kind.GROUP, "The settings of the catalog entry."),
)

RETENTION = (
    Setting("days", Kind.COUNT, "How many days the event log is kept.", default=30),
    Setting("maxBytes", Kind.COUNT, "How large the event log may grow; 0 = no cap.", default=0),
)

IDENTIFIER = (
    Setting("limit", Kind.COUNT, "How many values of it one profile may have.", default=5),
)

AUDIENCE = (
    Setting("name", Kind.TEXT, "The name; the trait's key is made from it.", required=True),
    Setting(
        "key",
        Kind.TEXT,
        "The trait's key, for good; made from the name when left out.",
        default="",
        literal=True,
    ),
    Setting("definition", Kind.TEXT, "Who belongs to it, as a query.", required=True),
    Setting(
        "includeHistory",
        Kind.HISTORY,
        "Whether stored messages from before its creation count, and how far back.",
        default=True,
    ),
    Setting(
        "includeAnonymous", Kind.FLAG, "Whether profiles without a user id count.", default=False
    ),
    Setting(
        "wait",
        Kind.FLAG,
        "On: a funnel with a step that did not happen waits until its window has passed.",
        default=False,
    ),
    Setting(
        "destinations", Kind.TEXTS, "Slugs of destinations that membership goes to.", default=()
    ),
    Setting(
        "enabled",
        Kind.FLAG,
        "Off: it is not computed, and destinations keep what they were told.",
        default=True,
    ),
)

COMPUTED_TRAIT = (
    Setting("name", Kind.TEXT, "The name; the trait's key is made from it.", required=True),
    Setting(
        "key",
        Kind.TEXT,
        "The trait's key, for good; made from the name when left out.",
        default="",
        literal=True,
    ),
    Setting("definition", Kind.TEXT, "What is computed, as a query.", required=True),
    Setting(
        "destinations", Kind.TEXTS, "Slugs of destinations that the trait goes to.", default=()
    ),
    Setting(
        "enabled",
        Kind.FLAG,
        "Off: it is not computed, and destinations keep what they were told.",
        default=True,
    ),
)

ENGAGE = (
    Setting("syncInterval", Kind.COUNT, "Seconds between syncs; 0 = at once.", default=0),
    Setting(
        "identity",
        Kind.NAMED_GROUPS,
        "How profiles are merged: limits per identifier; 5 for those not named.",
        members=IDENTIFIER,
    ),
    Setting("audiences", Kind.GROUPS, "Who belongs where.", members=AUDIENCE),
    Setting("computedTraits", Kind.GROUPS, "Values computed per user.", members=COMPUTED_TRAIT),
    Setting(
        "profileApiTokens",
        Kind.TEXTS,
        "Tokens with which programs may ask for profiles; none: nobody may.",
        default=(),
        secret=True,
    ),
)

WORKSPACE = (
    Setting("sources", Kind.GROUPS, "Where messages come from.", members=SOURCE),
    Setting("destinations", Kind.GROUPS, "Where messages go.", members=DESTINATION),
    Setting("retention", Kind.GROUP, "How long the event log is kept.", members=RETENTION),
    Setting("engage", Kind.GROUP, "Audiences and computed traits.", members=ENGAGE),
)


def destination_table(metadata_id: str, catalog: Catalog) -> tuple[Setting, ...]:
    """The rows of a destination of this catalog entry; an unknown entry has no settings."""
    members = catalog.get(metadata_id, ())
    return tuple(
        replace(row, members=members) if row.name == "settings" else row for row in DESTINATION
    )
