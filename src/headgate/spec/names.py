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
