"""headgate.yaml: what is accepted, and what each refusal says."""

from pathlib import Path

import pytest
from workspace_samples import parsed

from headgate.destinations.heap.settings import SETTINGS
from headgate.workspace.errors import InvalidWorkspace
from headgate.workspace.file import digest, parse, read_text

SOURCES = "sources: [{slug: website, type: website, writeKeys: [wk_website]}]\n"
DESTINATION = (
    SOURCES + "destinations:\n  - slug: heap\n    sourceId: website\n    settings:\n      "
)
HEAP = {"heap": SETTINGS}


def refusals(text: str, **environment: str) -> list[str]:
    """The sentences with which a text is refused."""
    with pytest.raises(InvalidWorkspace) as refused:
        parsed(text, **environment)
    return str(refused.value).split("\n")


def test_the_documented_example_is_accepted() -> None:
    """The example that people copy first is a valid file."""
    text = """\
sources:
  - {slug: website, name: Website, type: website, enabled: true, writeKeys: [wk_website]}
destinations:
  - slug: heap-production
    name: Heap production
    metadataId: heap
    sourceId: website
    enabled: true
    connectionMode: cloud
    settings:
      appId: "1535634150"
      region: US
      apiBaseUrl: http://127.0.0.1:9091
      mapping: heap
      limits: {eventsPerMinute: 15000, eventsPerMinutePerUser: 1000}
      retryWindow: 4 hours
      junkIdentities: []
      nullTraits: null
      heapScript: current
      secureCookie: false
      disableTextCapture: false
      fallbackToCloud: false
      deletionApiKey: ${HEAP_API_KEY}
retention: {days: 30, maxBytes: 0}
engage:
  syncInterval: 0
  identity: {userId: {limit: 1}}
  audiences:
    - name: Order completed last 30days
      definition: event('Order Completed').within(30 days).count() >= 1
      includeHistory: true
      includeAnonymous: false
      wait: false
      destinations: [heap-production]
  computedTraits:
    - {name: Total orders, definition: "event('Order Completed').count()", destinations: [heap-production]}
"""
    document = parse(text, catalog=HEAP, environment={"HEAP_API_KEY": "k"})
    assert document["destinations"][0]["settings"] == {
        "appId": "1535634150",
        "apiBaseUrl": "http://127.0.0.1:9091",
        "junkIdentities": [],
        "deletionApiKey": "${HEAP_API_KEY}",
    }
    assert document["engage"]["audiences"][0]["destinations"] == ["heap-production"]
    assert "retention" not in document


@pytest.mark.parametrize(
    "text",
    [
        DESTINATION.rstrip()
        + " {appId: 1, region: EU, heapScript: classic, scriptHost: heap.shop.example}",
        DESTINATION.rstrip() + " {appId: 1, heapScript: classic}",
        DESTINATION.rstrip() + " {appId: 1, region: EU}",
        """\
sources: [{slug: website, type: website}, {slug: blog, type: website}]
destinations:
- {slug: a, sourceId: website, connectionMode: device, settings: {appId: 1}}
- {slug: b, sourceId: website, connectionMode: cloud, settings: {appId: 2}}
- {slug: c, sourceId: website, connectionMode: device, enabled: false, settings: {appId: 3}}
- {slug: d, sourceId: blog, connectionMode: device, settings: {appId: 4}}
""",
    ],
    ids=["a script host in Europe", "classic in the US", "current in Europe", "one in each page"],
)
def test_what_runs_in_a_page_is_accepted(text: str) -> None:
    """Where the script and its data stay in the region, and each page has one Heap."""
    assert parse(text, catalog=HEAP, environment={})["destinations"]


def test_the_classic_script_would_send_european_data_to_the_us() -> None:
    """Heap's own host of it is there."""
    text = DESTINATION + "appId: 1\n      region: EU\n      heapScript: classic\n"
    with pytest.raises(InvalidWorkspace) as refused:
        parse(text, catalog=HEAP, environment={})
    assert str(refused.value) == (
        "expected current, or a scriptHost beside it, found classic in region EU,"
        " at destinations[0].settings.heapScript (headgate.yaml:8);"
        " Heap's own host of the classic script is in the US, and the data would go there"
    )


@pytest.mark.parametrize("text", ["{}", "sources: []", "sources:\ndestinations: []\n"])
def test_a_file_that_names_nothing_is_an_empty_workspace(text: str) -> None:
    """Empty lists and nulls configure nothing."""
    assert parsed(text) == {"sources": [], "destinations": []}


@pytest.mark.parametrize("text", ["", "\n \n", "# nothing yet\n"])
def test_an_empty_file_is_refused(text: str) -> None:
    """A file cut off on its way must not remove everything."""
    with pytest.raises(InvalidWorkspace, match="found an empty file"):
        parsed(text)


def test_what_is_left_out_is_at_its_default() -> None:
    """A source is an enabled server, a destination an enabled Heap in cloud mode, named by slug."""
    document = parsed(
        "sources: [{slug: api}]\ndestinations: [{slug: h, sourceId: api, settings: {appId: 1}}]"
    )
    assert document["sources"] == [
        {"slug": "api", "name": "api", "type": "server", "enabled": True, "writeKeys": []}
    ]
    assert document["destinations"] == [
        {
            "slug": "h",
            "name": "h",
            "metadataId": "heap",
            "sourceId": "api",
            "enabled": True,
            "connectionMode": "cloud",
            "settings": {"appId": "1"},
        }
    ]


# One problem each: the text below `settings:` or a whole file, and the sentence
SETTINGS_REFUSED = {
    "octal app id": (
        "appId: 0123",
        "expected digits, found the number 0123, at destinations[0].settings.appId"
        ' (headgate.yaml:6); write it in quotes: "0123"',
    ),
    "app id in float form": (
        "appId: 1.5e+9",
        "expected digits, found the number 1500000000.0, at destinations[0].settings.appId"
        " (headgate.yaml:6); write it in quotes",
    ),
    "app id is text": (
        "appId: abc",
        "expected digits, found text 'abc', at destinations[0].settings.appId (headgate.yaml:6)",
    ),
    "app id missing": (
        "region: EU",
        "expected appId (digits), found nothing, at destinations[0].settings (headgate.yaml:5)",
    ),
    "near-miss key": (
        "appId: 1\n      app_ID: 2",
        "expected appId, region, apiBaseUrl, scriptHost, retryWindow, junkIdentities, nullTraits,"
        " secureCookie, limits or deletionApiKey, found the unknown key app_ID,"
        " at destinations[0].settings (headgate.yaml:7); did you mean appId?",
    ),
    "wrong choice": (
        "{appId: 1, region: eu}",
        "expected US | EU, found text 'eu', at destinations[0].settings.region"
        " (headgate.yaml:6); did you mean EU?",
    ),
    "no URL": (
        "{appId: 1, apiBaseUrl: heapanalytics.com}",
        "expected an http or https URL without user name, query or fragment, found text 'heapanalytics.com',"
        " at destinations[0].settings.apiBaseUrl (headgate.yaml:6)",
    ),
    "URL with a password": (
        "{appId: 1, apiBaseUrl: 'https://user:password@heap.example'}",
        "expected an http or https URL without user name, query or fragment, found text 'https://user:password@heap.example',"
        " at destinations[0].settings.apiBaseUrl (headgate.yaml:6)",
    ),
    "host with scheme": (
        "{appId: 1, scriptHost: 'https://cdn.example.com/x'}",
        "expected a host name, found text 'https://cdn.example.com/x',"
        " at destinations[0].settings.scriptHost (headgate.yaml:6);"
        " write the host alone, without https:// and without a path",
    ),
    "duration without unit": (
        "{appId: 1, retryWindow: 4}",
        "expected a duration such as 30 minutes or 4 hours, found the number 4,"
        " at destinations[0].settings.retryWindow (headgate.yaml:6); write it in quotes",
    ),
    "count in quotes": (
        "{appId: 1, limits: {eventsPerMinute: '100'}}",
        "expected a whole number, 0 or more, found text '100',"
        " at destinations[0].settings.limits.eventsPerMinute (headgate.yaml:6);"
        " write it without quotes: 100",
    ),
    "negative count": (
        "{appId: 1, limits: {eventsPerMinute: -1}}",
        "expected a whole number, 0 or more, found the number -1,"
        " at destinations[0].settings.limits.eventsPerMinute (headgate.yaml:6)",
    ),
    "flag in quotes": (
        "{appId: 1, secureCookie: 'true'}",
        "expected true or false, found text 'true',"
        " at destinations[0].settings.secureCookie (headgate.yaml:6);"
        " write it without quotes: true",
    ),
    "variable missing": (
        "appId: ${NOT_SET}",
        "expected the environment variable NOT_SET, found it not set,"
        " at destinations[0].settings.appId (headgate.yaml:6);"
        " set it, or write $${ for the characters ${ themselves",
    ),
    "variable malformed": (
        "appId: ${HEAP-APP}",
        "expected a variable such as ${NAME}, found ${, at destinations[0].settings.appId"
        " (headgate.yaml:6); write $${ for the characters ${ themselves",
    ),
    "variable of the wrong form": (
        "appId: ${KEY}",
        "expected digits, found a value of 6 characters from ${KEY},"
        " at destinations[0].settings.appId (headgate.yaml:6)",
    ),
    "secret of the wrong type": (
        "{appId: 1, deletionApiKey: 123456}",
        "expected text, found a value that is not shown, being secret,"
        " at destinations[0].settings.deletionApiKey (headgate.yaml:6)",
    ),
    "no finite number": (
        "{appId: 1, nullTraits: [.nan]}",
        "expected any value, found the number .nan,"
        ' at destinations[0].settings.nullTraits[0] (headgate.yaml:6); write it in quotes: ".nan"',
    ),
}


@pytest.mark.parametrize(("below", "sentence"), SETTINGS_REFUSED.values(), ids=SETTINGS_REFUSED)
def test_a_wrong_setting_is_refused_in_one_sentence(below: str, sentence: str) -> None:
    """Expected, found, path, file and line, and how to mend it where that can be told."""
    assert refusals(DESTINATION + below) == [sentence]


FILES_REFUSED = {
    "write keys as text": (
        "sources:\n  - slug: website\n    writeKeys: wk_website\n",
        "expected a list of write keys, found text, at sources[0].writeKeys (headgate.yaml:3);"
        " write it as [wk_website]",
    ),
    "write key with a space": (
        "sources:\n  - slug: website\n    writeKeys:\n      - ok\n      - wk website\n",
        "expected a write key (1 to 128 printable characters without space or colon, and not . or ..),"
        " found text 'wk website', at sources[0].writeKeys[1] (headgate.yaml:5)",
    ),
    "write key that is a step up in a path": (
        "sources: [{slug: website, writeKeys: ['..']}]",
        "expected a write key (1 to 128 printable characters without space or colon, and not . or ..),"
        " found text '..', at sources[0].writeKeys[0] (headgate.yaml:1)",
    ),
    "write key with a colon": (
        "sources: [{slug: website, writeKeys: ['a:b']}]",
        "expected a write key (1 to 128 printable characters without space or colon, and not . or ..),"
        " found text 'a:b', at sources[0].writeKeys[0] (headgate.yaml:1)",
    ),
    "empty write key": (
        "sources: [{slug: website, writeKeys: ['']}]",
        "expected a write key (1 to 128 printable characters without space or colon, and not . or ..),"
        " found a blank text, at sources[0].writeKeys[0] (headgate.yaml:1)",
    ),
    "write key used twice": (
        "sources:\n- {slug: a, writeKeys: [k]}\n- {slug: b, writeKeys: [j, k]}\n",
        "expected a write key of its own, found the same as at sources[0].writeKeys[0],"
        " at sources[1].writeKeys[1] (headgate.yaml:3)",
    ),
    "slug used twice": (
        "sources:\n- slug: a\n- slug: a\n",
        "expected a slug of its own, found the same as at sources[0].slug,"
        " at sources[1].slug (headgate.yaml:3)",
    ),
    "slug missing": (
        "sources:\n- name: A\n",
        "expected slug (a slug (1 to 100 letters, digits, hyphens, dots or underscores, no dot or"
        " hyphen first)), found nothing, at sources[0] (headgate.yaml:2)",
    ),
    "slug from a variable": (
        "sources:\n- slug: ${APP}\n",
        "expected a slug (1 to 100 letters, digits, hyphens, dots or underscores, no dot or hyphen"
        " first), found text '${APP}', at sources[0].slug (headgate.yaml:2);"
        " variables are not read here",
    ),
    "dangling source": (
        SOURCES + "destinations:\n- slug: h\n  sourceId: websit\n  settings: {appId: 1}\n",
        "expected a source's slug (website), found text 'websit',"
        " at destinations[0].sourceId (headgate.yaml:4); did you mean website?",
    ),
    "no source at all": (
        "destinations:\n- slug: h\n  sourceId: website\n  settings: {appId: 1}\n",
        "expected a source's slug (there is none), found text 'website',"
        " at destinations[0].sourceId (headgate.yaml:3)",
    ),
    "unknown catalog entry": (
        SOURCES + "destinations:\n- slug: h\n  sourceId: website\n  metadataId: heep\n",
        "expected an entry of the catalog (heap or other), found text 'heep',"
        " at destinations[0].metadataId (headgate.yaml:5); did you mean heap?",
    ),
    "settings missing": (
        SOURCES + "destinations:\n- slug: h\n  sourceId: website\n",
        "expected appId (digits), found nothing, at destinations[0].settings (headgate.yaml:3)",
    ),
    "device mode on a server": (
        "sources: [{slug: api}]\ndestinations:\n- slug: h\n  sourceId: api\n"
        "  connectionMode: device\n  settings: {appId: 1}\n",
        "expected cloud, found device on a source of type server,"
        " at destinations[0].connectionMode (headgate.yaml:5);"
        " device mode works on website sources only",
    ),
    "two scripts of a kind in one page": (
        SOURCES + "destinations:\n"
        "- {slug: a, sourceId: website, connectionMode: device, settings: {appId: 1}}\n"
        "- {slug: b, sourceId: website, connectionMode: device, settings: {appId: 2}}\n",
        "expected cloud, or enabled: false, found device, as at destinations[0] for the same source,"
        " at destinations[1].connectionMode (headgate.yaml:4); a page runs one heap at a time",
    ),
    "unknown top-level key": (
        "source: []\n",
        "expected sources, destinations, retention or engage, found the unknown key source,"
        " in headgate.yaml:1; did you mean sources?",
    ),
    "list instead of a mapping": (
        "- sources\n",
        "expected a mapping, found a list, in headgate.yaml:1",
    ),
    "mapping instead of a list": (
        "sources:\n  slug: website\n",
        "expected a list of mappings, found a mapping, at sources (headgate.yaml:1);"
        " begin each item with a dash",
    ),
    "dangling destination of an audience": (
        "engage:\n  audiences:\n  - name: A\n    definition: trait('x') = 1\n    destinations: [heap]\n",
        "expected a destination's slug (there is none), found text 'heap',"
        " at engage.audiences[0].destinations[0] (headgate.yaml:5)",
    ),
    "destination named twice": (
        "sources:\n- {slug: web}\n"
        "destinations:\n- {slug: heap, sourceId: web, settings: {appId: '1'}}\n"
        "engage:\n  audiences:\n  - name: A\n    definition: trait('x') = 1\n"
        "    destinations: [heap, heap]\n",
        "expected each destination once, found heap again,"
        " at engage.audiences[0].destinations[1] (headgate.yaml:9)",
    ),
    "dangling source in a definition": (
        "sources:\n- {slug: website}\n"
        "engage:\n  audiences:\n  - name: A\n"
        "    definition: \"event('e').sources(exclude: ['web-site']).count() >= 1\"\n",
        "expected sources that are there, found sources(exclude: ['web-site']),"
        " at engage.audiences[0].definition (headgate.yaml:6); did you mean website?",
    ),
    "audience without a definition": (
        "engage: {audiences: [{name: A}]}\n",
        "expected definition (text), found nothing, at engage.audiences[0] (headgate.yaml:1)",
    ),
    "blank definition": (
        "engage: {audiences: [{name: A, definition: ' '}]}\n",
        "expected text, found a blank text, at engage.audiences[0].definition (headgate.yaml:1)",
    ),
    "wrong history": (
        "engage: {audiences: [{name: A, definition: trait('x') = 1, includeHistory: always}]}\n",
        "expected true, false or a duration such as 90 days, found text 'always',"
        " at engage.audiences[0].includeHistory (headgate.yaml:1)",
    ),
    "two traits of one name": (
        "engage:\n  computedTraits:\n  - {name: A, definition: event('x').count()}\n"
        "  - {name: A, definition: event('y').count()}\n",
        "expected a key of its own, found the key a of engage.computedTraits[0],"
        " at engage.computedTraits[1].name (headgate.yaml:4)",
    ),
    "key given twice": (
        "sources: []\nretention: {}\nsources: []\n",
        "expected each key once, found it again (first on line 1), at sources (headgate.yaml:3:1)",
    ),
}


@pytest.mark.parametrize(("text", "sentence"), FILES_REFUSED.values(), ids=FILES_REFUSED)
def test_a_wrong_file_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    """The sentence names the line of the key that is wrong."""
    assert refusals(text) == [sentence]


def test_all_problems_are_told_at_once_in_the_order_of_lines() -> None:
    """Whoever mends a file sees everything that is wrong with it in one go."""
    text = """\
retention: {days: soon}
sources:
  - {slug: website, writeKey: x, enabled: "no"}
  - {slug: website, writeKeys: [a b]}
destinations:
  - {slug: h, sourceId: nowhere, settings: {}}
"""
    places = [sentence.rpartition("headgate.yaml:")[2][:1] for sentence in refusals(text)]
    assert places == ["1", "3", "3", "4", "4", "6", "6"]


def test_a_flood_of_problems_is_cut_short() -> None:
    """A file that is wrong everywhere does not fill the terminal."""
    sentences = refusals("\n".join(f"key{number}: x" for number in range(5000)))
    assert len(sentences) == 51
    assert sentences[-1] == "and more; mend these first"


def test_an_app_id_written_as_a_number_keeps_its_digits() -> None:
    """Forgetting the quotes around an App ID is forgiven."""
    document = parsed(DESTINATION + "appId: 1535634150")
    assert document["destinations"][0]["settings"]["appId"] == "1535634150"


def test_numbers_in_a_list_of_texts_count_as_their_text() -> None:
    """Junk identities such as 0 and -1 need no quotes."""
    document = parsed(DESTINATION + "{appId: 1, junkIdentities: [0, -1, none]}")
    assert document["destinations"][0]["settings"]["junkIdentities"] == ["0", "-1", "none"]


def test_variables_stay_as_written() -> None:
    """Values of the environment are checked, never kept."""
    document = parsed(DESTINATION + "appId: ${APP}\n      deletionApiKey: ${KEY}")
    settings = document["destinations"][0]["settings"]
    assert settings == {"appId": "${APP}", "deletionApiKey": "${KEY}"}


def test_two_write_keys_that_expand_to_the_same_are_refused() -> None:
    """Uniqueness counts for the keys that will be used."""
    text = 'sources: [{slug: a, writeKeys: ["${ONE}", "${TWO}"]}]'
    assert len(refusals(text, ONE="k", TWO="k")) == 1
    assert parsed(text, ONE="k", TWO="j")["sources"][0]["writeKeys"] == ["${ONE}", "${TWO}"]


def test_a_control_character_from_the_environment_is_refused() -> None:
    """What would garble a terminal or a header does not come in by a variable either."""
    text = "sources: [{slug: a, name: '${NAME}'}]"
    assert refusals(text, NAME="a\x1b[0m") == [
        "expected text, found a value of 5 characters from ${NAME},"
        " at sources[0].name (headgate.yaml:1)"
    ]


def test_a_file_is_read_as_utf_8(tmp_path: Path) -> None:
    """Names may hold any language; other encodings are refused with the line."""
    path = tmp_path / "my.yaml"
    path.write_bytes("sources: []\n# größer".encode())
    assert read_text(path).endswith("größer")
    path.write_bytes("sources: []\n# größer".encode("latin-1"))
    with pytest.raises(InvalidWorkspace, match=r"^expected UTF-8 text, found .* in my.yaml:2$"):
        read_text(path)


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    """A missing file is an answer, not a traceback."""
    with pytest.raises(InvalidWorkspace, match="No such file"):
        read_text(tmp_path / "missing.yaml")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    """4 MiB are the most that a workspace file may have."""
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    with pytest.raises(InvalidWorkspace, match="expected at most 4194304 bytes, found more"):
        read_text(path)


def test_the_digest_tells_contents_apart() -> None:
    """Any change of a file, a comment included, changes its digest."""
    assert digest("sources: []\n") == digest("sources: []\n")
    assert digest("sources: []\n") != digest("sources: [] # none\n")
