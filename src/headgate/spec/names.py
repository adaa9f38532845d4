"""Names that the Segment Spec fixes: the six call types and the letters their short paths use.

Source: https://segment.com/docs/connections/spec/
"""

IDENTIFY = "identify"
TRACK = "track"
PAGE = "page"
SCREEN = "screen"
GROUP = "group"
ALIAS = "alias"

CALL_TYPES = (IDENTIFY, TRACK, PAGE, SCREEN, GROUP, ALIAS)
CALL_TYPE_CODES = {name: code for code, name in enumerate(CALL_TYPES)}
SHORT_PATHS = {"i": IDENTIFY, "t": TRACK, "p": PAGE, "s": SCREEN, "g": GROUP, "a": ALIAS}

WEBSITE = "website"
MOBILE = "mobile"
SERVER = "server"
SOURCE_TYPES = (WEBSITE, MOBILE, SERVER)
CLIENT_SIDE_SOURCE_TYPES = frozenset({WEBSITE, MOBILE})

_ENGAGE = "engage/"  # no slug holds a slash
_IMPORT = "import/"


def engage_source(destination: str) -> str:
    """The hidden source of what Engage itself has to say to one destination, by the destination's slug."""
    return _ENGAGE + destination


def engage_destination(source: str) -> str:
    """The slug of the one destination that a hidden source of Engage feeds; "" for any other source."""
    return source.removeprefix(_ENGAGE) if source.startswith(_ENGAGE) else ""


def import_source(source: str) -> str:
    """The hidden source of messages that were imported for a source, to be delivered to nobody."""
    return _IMPORT + source


def is_imported(source: str) -> bool:
    """Whether a source is the hidden one of imported messages."""
    return source.startswith(_IMPORT)


def configured_source(source: str) -> str:
    """The source in the workspace that messages belong to: for imported ones, that they were imported for."""
    return source.removeprefix(_IMPORT)
