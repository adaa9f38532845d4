"""Segment's Profile API on the private port, as programs ask it: paths, pages, tokens, pace, errors."""

import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import pytest

from data_dirs import NOW_MS
from engage_dirs import EngageDir, audience
from headgate.app.private import PrivatePort
from headgate.app.profile_api import REQUESTS_PER_S, ProfileApi
from headgate.delivery.engine import Delivery
from headgate.spec.timestamps import iso_ms

TOKEN = "a-token"
ANN = "/v1/spaces/spa_any/collections/users/profiles/user_id:ann"
HOUR_S = 3_600


class Said(NamedTuple):
    """An answer."""

    status: int
    body: Any
    headers: dict[str, str]


class Program:
    """A program that asks the private port of a data directory."""

    def __init__(self, directory: EngageDir, tokens: tuple[str, ...] = (TOKEN,)) -> None:
        api = ProfileApi(directory.path, lambda: tokens, directory.clock)
        self._port = PrivatePort(cast("Delivery", None), directory.path, api)

    async def get(self, path: str, query: str = "", token: str | None = TOKEN) -> Said:
        """One request."""
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": query.encode(),
            "headers": [] if token is None else [(b"authorization", _basic(token))],
        }
        await self._port(scope, receive, send)
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        body = b"".join(one.get("body", b"") for one in sent)
        is_json = headers.get("content-type") == "application/json"
        return Said(sent[0]["status"], msgspec.json.decode(body) if is_json else body, headers)

    async def of_ann(self, what: str, query: str = "") -> Any:
        """What the API says of ann."""
        said = await self.get(f"{ANN}/{what}", query)
        assert said.status == 200, said
        return said.body


def _basic(token: str) -> bytes:
    return b"Basic " + b64encode(f"{token}:".encode())


def error(said: Said) -> tuple[int, str]:
    """The status and the code of an error, which has a message besides."""
    assert set(said.body) == {"error"}
    assert set(said.body["error"]) == {"code", "message"}
    return said.status, said.body["error"]["code"]


@pytest.fixture
def directory(tmp_path: Path) -> EngageDir:
    """Ann has traits, an email, an anonymousId and three events, and is in one of two audiences."""
    directory = EngageDir(tmp_path)
    directory.configure(
        audience("Buyers", "event('Bought').within(1 day).count() >= 1", "heap"),
        audience("Fans", "event('Liked').count() >= 1", "heap"),
        traits=[
            {"name": "Orders", "definition": "event('Bought').count()"},
            {"name": "Liked", "definition": "event('Liked').last(property('x'))"},
        ],
    )
    directory.identify(
        "i-1",
        anonymousId="anon",
        traits={"plan": "free", "email": "ann@example.com", "gone": None, "orders": "own"},
    )
    directory.track("Bought", "b-1", age_s=2 * HOUR_S, properties={"total": 5})
    directory.track("Bought", "b-2", age_s=HOUR_S)
    directory.track("Seen", "s-1")
    directory.compute()
    return directory


@pytest.fixture
def program(directory: EngageDir) -> Program:
    """A program with a valid token."""
    return Program(directory)


# Traits


async def test_traits_are_those_of_identifies_and_those_computed(program: Program) -> None:
    """An audience is true or false; a computed trait hides a trait of the same name; null is no trait."""
    body = await program.of_ann("traits")
    assert body == {
        "traits": {
            "buyers": True,
            "email": "ann@example.com",
            "fans": False,
            "orders": 2,
            "plan": "free",
        },
        "cursor": {"url": f"{ANN}/traits", "has_more": False, "next": "", "limit": 10},
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("class=audience", {"buyers": True, "fans": False}, id="audiences"),
        pytest.param("class=computed_trait", {"orders": 2}, id="computed traits"),
        pytest.param("include=buyers,plan,none", {"buyers": True, "plan": "free"}, id="named"),
        pytest.param(
            "verbose=true&include=plan,buyers,fans",
            {
                "buyers": {"value": True, "source_id": None, "updated_at": iso_ms(NOW_MS)},
                "fans": {"value": False, "source_id": None, "updated_at": None},
                "plan": {"value": "free", "source_id": None, "updated_at": iso_ms(NOW_MS)},
            },
            id="verbose",
        ),
    ],
)
async def test_traits_can_be_chosen(program: Program, query: str, expected: dict[str, Any]) -> None:
    """By class and by name; with when they were set or told last."""
    assert (await program.of_ann("traits", query))["traits"] == expected


async def test_a_membership_follows_time(directory: EngageDir, program: Program) -> None:
    """False as soon as Engage has evaluated that the window is over."""
    directory.clock.advance(24 * HOUR_S)
    directory.compute()
    assert (await program.of_ann("traits", "include=buyers"))["traits"] == {"buyers": False}


async def test_pages_follow_each_other(program: Program) -> None:
    """Each names where the next begins; the last one nothing."""
    names: list[str] = []
    following = ""
    while True:
        body = await program.of_ann("traits", f"limit=2&next={following}")
        names += body["traits"]
        following = body["cursor"]["next"]
        assert body["cursor"]["has_more"] is bool(following)
        if not following:
            break
    assert names == ["buyers", "email", "fans", "orders", "plan"]


# Everything else


async def test_identifiers_and_links(program: Program) -> None:
    """All identifiers of the person; no accounts."""
    body = await program.of_ann("external_ids")
    assert [(one["type"], one["id"]) for one in body["data"]] == [
        ("user_id", "ann"),
        ("email", "ann@example.com"),
        ("anonymous_id", "anon"),
    ]
    assert {one["collection"] for one in body["data"]} == {"users"}
    body = await program.of_ann("external_ids", "include=email")
    assert [one["id"] for one in body["data"]] == ["ann@example.com"]
    assert await program.of_ann("links") == {"data": []}


async def test_events_are_the_newest_first_and_can_be_chosen(program: Program) -> None:
    """Identifies are none; names, times and order as asked."""
    body = await program.of_ann("events")
    assert [one["message_id"] for one in body["data"]] == ["s-1", "b-2", "b-1"]
    first = body["data"][-1]
    assert (first["event"], first["type"], first["properties"]) == ("Bought", "track", {"total": 5})
    assert first["timestamp"] == iso_ms(NOW_MS - 2 * HOUR_S * 1000)
    assert first["external_ids"][0] == {
        "collection": "users",
        "type": "user_id",
        "id": "ann",
        "encoding": "none",
    }

    async def ids(query: str) -> list[str]:
        return [one["message_id"] for one in (await program.of_ann("events", query))["data"]]

    assert await ids("sort=asc&include=Bought") == ["b-1", "b-2"]
    assert await ids("exclude=Bought") == ["s-1"]
    assert await ids(f"start={iso_ms(NOW_MS - 5_400_000)}") == ["s-1", "b-2"]
    assert await ids(f"end={iso_ms(NOW_MS - 5_400_000)}") == ["b-1"]
    assert await ids("limit=1") == ["s-1"]


async def test_events_are_those_of_14_days(directory: EngageDir, program: Program) -> None:
    """Older ones are not shown, nor those that have not happened yet."""
    directory.track("Seen", "old", age_s=15 * 24 * HOUR_S)
    directory.track("Seen", "to-come", age_s=-HOUR_S)
    directory.compute()
    body = await program.of_ann("events")
    assert [one["message_id"] for one in body["data"]] == ["s-1", "b-2", "b-1"]


async def test_metadata_says_when_the_person_was_seen(program: Program) -> None:
    """First and last, with the messages."""
    body = await program.of_ann("metadata")
    assert body["metadata"] == {
        "created_at": iso_ms(NOW_MS),
        "updated_at": iso_ms(NOW_MS),
        "expires_at": None,
        "first_message_id": "i-1",
        "first_source_id": "website",
        "last_message_id": "s-1",
        "last_source_id": "website",
    }


@pytest.mark.parametrize(
    "person", ["email:ann@example.com", "anonymous_id:anon", "anonymousId:anon"]
)
async def test_a_person_is_found_by_any_identifier(program: Program, person: str) -> None:
    """In both spellings of its type."""
    said = await program.get(f"/v1/spaces/s/collections/users/profiles/{person}/traits")
    assert said.body["traits"]["plan"] == "free"


async def test_a_value_may_have_slashes_and_colons(directory: EngageDir, program: Program) -> None:
    """What stands behind the last slash is what is asked for."""
    directory.track("Seen", "odd", userId="a/b:c/traits")
    directory.compute()
    said = await program.get(
        "/v1/spaces/s/collections/users/profiles/user_id:a/b:c/traits/external_ids"
    )
    assert [one["id"] for one in said.body["data"]] == ["a/b:c/traits"]


# Errors


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        pytest.param(f"{ANN}x/traits", "", (404, "not_found"), id="nobody"),
        pytest.param(f"{ANN}/orders", "", (404, "not_found"), id="no such thing"),
        pytest.param(
            "/v1/spaces/s/collections/accounts/profiles/group_id:1/traits",
            "",
            (404, "not_found"),
            id="accounts",
        ),
        pytest.param(
            "/v1/spaces/s/collections/users/profiles/ann/traits",
            "",
            (400, "validation_error"),
            id="no type",
        ),
        pytest.param(f"{ANN}/traits", "limit=0", (400, "validation_error"), id="limit too small"),
        pytest.param(f"{ANN}/traits", "limit=201", (400, "validation_error"), id="limit too large"),
        pytest.param(f"{ANN}/events", "limit=101", (400, "validation_error"), id="of events"),
        pytest.param(f"{ANN}/traits", "class=x", (400, "validation_error"), id="no such class"),
        pytest.param(f"{ANN}/traits", "next=x", (400, "validation_error"), id="no such page"),
        pytest.param(f"{ANN}/events", "start=x", (400, "validation_error"), id="no time"),
        pytest.param(f"{ANN}/events", "sort=x", (400, "validation_error"), id="no such order"),
    ],
)
async def test_what_cannot_be_answered_has_segments_error(
    program: Program, path: str, query: str, expected: tuple[int, str]
) -> None:
    """The status, the code, and a message."""
    assert error(await program.get(path, query)) == expected


async def test_an_unknown_profile_has_segments_very_words(program: Program) -> None:
    """Programs look at them."""
    assert (await program.get(f"{ANN}x/traits")).body == {
        "error": {"code": "not_found", "message": "Profile was not found."}
    }


@pytest.mark.parametrize("token", [None, "", "other", TOKEN[:-1], "ü"])
async def test_without_a_valid_token_nothing_is_said(program: Program, token: str | None) -> None:
    """Not even whether there is such a person."""
    said = await program.get(f"{ANN}/traits", token=token)
    assert error(said) == (401, "authentication_error")
    assert said.headers["www-authenticate"].startswith("Basic")


async def test_without_tokens_every_answer_is_401(directory: EngageDir) -> None:
    """Also for an empty one; an empty token is none."""
    for program in (Program(directory, tokens=()), Program(directory, tokens=("",))):
        for token in (None, "", TOKEN):
            assert (await program.get(f"{ANN}/traits", token=token)).status == 401


async def test_more_than_so_many_requests_in_a_second_are_429(
    directory: EngageDir, program: Program
) -> None:
    """And answered again as time passes; a wrong token takes nothing away from others."""
    for _ in range(REQUESTS_PER_S):
        await program.get(f"{ANN}/links", token="other")
        assert (await program.get(f"{ANN}/links")).status == 200
    said = await program.get(f"{ANN}/links")
    assert error(said) == (429, "rate_limit_error")
    assert said.headers["retry-after"] == "1"
    directory.clock.advance(1)
    assert (await program.get(f"{ANN}/links")).status == 200


async def test_a_directory_without_engage_knows_nobody(tmp_path: Path) -> None:
    """404, as for anybody who is not known."""
    directory = EngageDir(tmp_path)
    directory.configure()
    assert error(await Program(directory).get(f"{ANN}/traits")) == (404, "not_found")


async def test_a_store_that_cannot_be_read_is_503(directory: EngageDir, program: Program) -> None:
    """Not a person who is not known."""
    (directory.path / "engage" / "engage.db").write_bytes(b"not a database" * 1000)
    for leftover in directory.path.glob("engage/engage.db-*"):
        leftover.unlink()
    assert error(await program.get(f"{ANN}/traits")) == (503, "service_unavailable")


def test_serving_never_loads_what_reads_the_archive() -> None:
    """65 MB of library stay with the processes that live shortly."""
    code = "import sys, headgate.worker, headgate.engage.process; sys.exit('duckdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
