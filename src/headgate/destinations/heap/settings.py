"""The settings of the Heap destination: the table behind validation, docs, help and the app.

App ID is the one setting that Segment's Heap destination has. The others are what running the
gateway oneself adds: where Heap is, how a message is mapped, how fast and how long delivery tries,
and what the page needs when Heap's own script sends (device mode).
"""

from headgate.spec.settings import Kind, Setting

MAPPING_HEAP = "heap"
MAPPING_CLASSIC = "segment-classic"

# Values that senders write when they have no user. Heap would merge everybody who carries one into
# a single user, for good: https://developers.heap.io/docs/using-identify
JUNK_IDENTITIES = (
    "null",
    "undefined",
    "none",
    "nil",
    "nan",
    "0",
    "-1",
    "user",
    "guest",
    "anonymous",
    "unknown",
    "[object Object]",
)

# Heap's documented limits of bulk requests: https://developers.heap.io/reference/bulk-track
_LIMITS = (
    Setting(
        "eventsPerMinute",
        Kind.COUNT,
        "Rows sent to this App ID in any minute, at most; 0 lifts the limit.",
        default=15_000,
    ),
    Setting(
        "eventsPerMinutePerUser",
        Kind.COUNT,
        "Rows sent for one user in any minute, at most; 0 lifts the limit.",
        default=1_000,
    ),
)

SETTINGS = (
    Setting(
        "appId",
        Kind.DIGITS,
        "The App ID of the Heap environment that receives the data, as Heap shows it under Projects.",
        required=True,
    ),
    Setting(
        "region",
        Kind.CHOICE,
        "Where Heap keeps the data: US for heapanalytics.com, EU for Heap's data centre in Europe.",
        default="US",
        choices=("US", "EU"),
    ),
    Setting(
        "apiBaseUrl",
        Kind.URL,
        "Sends to this address instead of the region's, for the sandbox or a proxy of your own.",
    ),
    Setting(
        "mapping",
        Kind.CHOICE,
        "How properties are named and written: heap suits new projects, segment-classic keeps the names "
        "that Segment's classic Heap destination has been sending.",
        default=MAPPING_HEAP,
        choices=(MAPPING_HEAP, MAPPING_CLASSIC),
    ),
    Setting(
        "limits",
        Kind.GROUP,
        "How fast to send; the defaults are the limits that Heap documents.",
        members=_LIMITS,
    ),
    Setting(
        "retryWindow",
        Kind.DURATION,
        "How long a message is tried again after its first attempt before it counts as failed.",
        default="4 hours",
    ),
    Setting(
        "junkIdentities",
        Kind.TEXTS,
        "User ids that are never sent because they name nobody; an empty list sends every id.",
        default=JUNK_IDENTITIES,
    ),
    Setting(
        "nullTraits",
        Kind.ANY,
        "The value to send when a computed trait became null, since Heap cannot unset a property; "
        "null sends nothing and the old value stays.",
    ),
    Setting(
        "heapScript",
        Kind.CHOICE,
        "Device mode: which generation of Heap's script the page loads.",
        default="current",
        choices=("current", "classic"),
    ),
    Setting(
        "scriptHost",
        Kind.HOST,
        "Device mode: the host that serves Heap's script, when it is not Heap's own for the region.",
    ),
    Setting(
        "secureCookie",
        Kind.FLAG,
        "Device mode: marks Heap's cookies as secure, so that browsers send them over https only.",
        default=False,
    ),
    Setting(
        "disableTextCapture",
        Kind.FLAG,
        "Device mode: keeps Heap's script from recording the text of what people click.",
        default=False,
    ),
    Setting(
        "ingestServer",
        Kind.URL,
        "Device mode: the address that Heap's script sends to, when it is a proxy of your own.",
    ),
    Setting(
        "fallbackToCloud",
        Kind.FLAG,
        "Device mode: delivers from the server what the page could not, because Heap's script failed there.",
        default=False,
    ),
    Setting(
        "deletionApiKey",
        Kind.TEXT,
        "The API key of Heap's main production environment, needed to delete users.",
        secret=True,
    ),
    Setting(
        "consentCategories",
        Kind.TEXTS,
        "Consent categories that a message's user must have agreed to; an empty list asks for none.",
        default=(),
    ),
)
