"""The management API: what programs read and change, how they are refused, and that its description is true."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import schemathesis
from asking import HOST, Answer, Asker, House, json_of, opened
from hypothesis import given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from headgate.app.pages.api import OPERATIONS
from headgate.app.pages.api_computations import NewAudience, NewTrait
from headgate.app.pages.api_destinations import NewDestination
from headgate.app.pages.api_sources import NewSource
from headgate.spec.settings import Setting
from headgate.stores import WORKSPACE
from headgate.workspace.sqlite_privacy import SqlitePrivacyStore
from headgate.workspace.table import AUDIENCE, COMPUTED_TRAIT, DESTINATION, SOURCE

_TRUE_TO_IT = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
BUYERS = {"name": "Buyers", "definition": "event('Order Completed').count() >= 1"}
SPENT = {"name": "Spent", "definition": "event('Order Completed').sum(property('revenue'))"}


class Program:
    """Something that calls the API with a token."""

    def __init__(self, house: House, scope: str = "write") -> None:
        self._asker = Asker(house.app)
        self._token = house.token(scope)

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """A call."""
        raw = b"" if body is None else msgspec.json.encode(body)
        said = {"authorization": f"Bearer {self._token}", **headers}
        return await self._asker.ask(method, f"/api{path}", body=raw, headers=said)

    async def told(self, method: str, path: str, body: Any = None) -> Any:
        """What a call that goes well is told."""
        answer = await self.ask(method, path, body)
        assert answer.status == 200, answer.text
        return json_of(answer)["data"]

    async def refused(self, method: str, path: str, body: Any = None) -> tuple[int, str, str]:
        """The status, and place and words of the one reason."""
        answer = await self.ask(method, path, body)
        (error,) = json_of(answer)["errors"]
        return answer.status, error.get("field", ""), error["message"]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path) as one:
        yield one


@pytest.fixture
def program(house: House) -> Program:
    return Program(house)


# Sources


async def test_a_source_is_made_changed_and_deleted(house: House, program: Program) -> None:
    made = (await program.told("POST", "/sources", {"slug": "ios", "type": "mobile"}))["source"]
    assert made["id"] == made["slug"] == made["name"] == "ios"
    assert made["enabled"] is True
    assert len(made["writeKeys"]) == 1
    changed = await program.told("PATCH", "/sources/ios", {"name": "iOS", "enabled": False})
    assert changed["source"] == {**made, "name": "iOS", "enabled": False}
    assert house.app.parts.workspace.current().actor == "token a write token"
    assert await program.told("GET", "/sources/ios") == changed
    assert await program.told("DELETE", "/sources/ios") == {"status": "SUCCESS"}
    assert [one["slug"] for one in house.document()["sources"]] == ["website", "spare"]
    assert (await program.refused("GET", "/sources/ios"))[0] == 404


async def test_write_keys_are_added_and_retired(house: House, program: Program) -> None:
    (first,) = house.document()["sources"][0]["writeKeys"]
    key = (await program.told("POST", "/sources/website/writekey"))["writeKey"]
    assert house.document()["sources"][0]["writeKeys"] == [first, key]
    await program.told("DELETE", f"/sources/website/writekey/{first}")
    assert house.document()["sources"][0]["writeKeys"] == [key]
    assert (await program.refused("DELETE", f"/sources/website/writekey/{first}"))[0] == 404


async def test_a_source_that_a_destination_needs_stays(house: House, program: Program) -> None:
    status, field, words = await program.refused("DELETE", "/sources/website")
    assert (status, field) == (422, "destinations[0].sourceId")
    assert words.startswith("Expected a source's slug")
    assert len(house.document()["sources"]) == 2


# Destinations


async def test_a_destination_is_made_changed_and_deleted(house: House, program: Program) -> None:
    wanted = {"slug": "two", "sourceId": "spare", "settings": {"appId": "123"}}
    made = (await program.told("POST", "/destinations", wanted))["destination"]
    assert made["metadataId"] == "heap"
    assert made["settings"] == {"appId": "123"}
    limits = {"limits": {"eventsPerMinute": 5}}
    await program.told("PATCH", "/destinations/two", {"settings": {"region": "EU", **limits}})
    changed = await program.told("PATCH", "/destinations/two", {"settings": {"region": None}})
    assert changed["destination"]["settings"] == {"appId": "123", **limits}
    await program.told("DELETE", "/destinations/two")
    assert [one["slug"] for one in house.document()["destinations"]] == ["heap"]


async def test_a_secret_can_be_set_and_is_never_told(house: House, program: Program) -> None:
    secret = {"settings": {"deletionApiKey": "very secret"}}
    answers = [
        await program.ask("PATCH", "/destinations/heap", secret),
        await program.ask("GET", "/destinations/heap"),
        await program.ask("GET", "/destinations"),
    ]
    assert all(answer.status == 200 and "very secret" not in answer.text for answer in answers)
    assert house.document()["destinations"][0]["settings"]["deletionApiKey"] == "very secret"
    await program.told("PATCH", "/destinations/heap", {"name": "Renamed"})
    assert house.document()["destinations"][0]["settings"]["deletionApiKey"] == "very secret"


async def test_the_catalog_names_every_setting(program: Program) -> None:
    (heap,) = (await program.told("GET", "/catalog/destinations"))["destinationsCatalog"]
    assert await program.told("GET", "/catalog/destinations/heap") == {"destinationMetadata": heap}
    options = {one["name"]: one for one in heap["options"]}
    assert options["appId"]["required"]
    assert options["deletionApiKey"]["secret"]
    assert options["region"]["choices"] == ["US", "EU"]
    assert "limits.eventsPerMinute" in options
    assert heap["supportedMethods"] == {"identify": True, "track": True}
    assert (await program.refused("GET", "/catalog/destinations/x"))[0] == 404


# Audiences and computed traits


@pytest.mark.parametrize(
    ("path", "one", "wanted"),
    [("/audiences", "audience", BUYERS), ("/computed-traits", "computedTrait", SPENT)],
)
async def test_a_computation_keeps_its_key_whatever_its_name_becomes(
    program: Program, path: str, one: str, wanted: dict[str, str]
) -> None:
    made = (await program.told("POST", path, {**wanted, "destinations": ["heap"]}))[one]
    key = wanted["name"].lower()
    assert made["id"] == made["key"] == key
    changed = (await program.told("PATCH", f"{path}/{key}", {"name": "Other name"}))[one]
    assert changed == {**made, "name": "Other name"}
    assert (await program.told("GET", f"{path}/{key}"))[one] == changed
    await program.told("DELETE", f"{path}/{key}")
    assert (await program.refused("GET", f"{path}/{key}"))[0] == 404
    status, field, words = await program.refused("POST", path, wanted)
    assert (status, field) == (422, "name")
    assert "used" in words


async def test_a_definition_that_cannot_be_read_is_told_with_its_place(program: Program) -> None:
    wanted = {"name": "Odd", "definition": "event('x').count() >"}
    status, field, words = await program.refused("POST", "/audiences", wanted)
    assert (status, field) == (422, "definition")
    assert "line 1, column 21" in words


# Regulations


async def test_users_are_suppressed_and_deleted(house: House, program: Program) -> None:
    async def regulate(what: str, *users: str) -> Any:
        body = {"regulationType": what, "subjectType": "USER_ID", "subjectIds": users}
        return (await program.told("POST", "/regulations", body))["regulations"]

    assert await regulate("SUPPRESS_ONLY", "u1", "u2") == []
    assert await regulate("UNSUPPRESS", "u1") == []
    (deleted,) = await regulate("SUPPRESS_WITH_DELETE", "u3")
    assert deleted["subjectId"] == "u3"
    assert deleted["status"] == "INITIALIZED"
    assert deleted["createdBy"] == "token a write token"
    assert (await program.told("GET", "/regulations"))["regulations"] == [deleted]
    assert await program.told("GET", f"/regulations/{deleted['id']}") == {"regulation": deleted}
    suppressed = (await program.told("GET", "/suppressions"))["suppressed"]
    assert [one["userId"] for one in suppressed] == ["u2", "u3"]
    with closing(SqlitePrivacyStore(house.data_dir.path / WORKSPACE, house.clock)) as store:
        assert store.suppressed() == {"u2", "u3"}
        store.take_up(1)
        for erased in (store.log_erased, store.engage_erased, store.history_erased):
            assert (await program.told("GET", "/regulations"))["regulations"][0]["status"] == (
                "RUNNING"
            )
            erased([int(deleted["id"])])
    assert (await program.told("GET", "/regulations"))["regulations"][0]["status"] == "FINISHED"


# Refusals


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "/sources", None, (400, "", "Expected `object`, got `null`.")),
        ("POST", "/sources", {}, (400, "", "Object missing required field `slug`.")),
        ("PATCH", "/sources/website", {"enabled": "no"}, (400, "enabled", "Expected `bool`, got `str`.")),
        ("PATCH", "/sources/nothing", {"name": "x"}, (404, "", "There is no source nothing.")),
        ("DELETE", "/destinations/x", None, (404, "", "There is no destination x.")),
    ],
)  # fmt: skip
async def test_a_body_that_does_not_fit_is_told_where(
    house: House, program: Program, method: str, path: str, body: Any, expected: Any
) -> None:
    assert await program.refused(method, path, body) == expected
    assert house.app.parts.workspace.current().number == 1


async def test_every_problem_is_told_with_its_place(program: Program) -> None:
    body = {"settings": {"appId": "x", "region": "UK", "limits": {"eventsPerMinute": -1}}}
    answer = await program.ask("PATCH", "/destinations/heap", body)
    assert answer.status == 422
    assert {one["field"] for one in json_of(answer)["errors"]} == {
        "settings.appId",
        "settings.region",
        "settings.limits.eventsPerMinute",
    }


async def test_what_was_changed_since_it_was_read_is_not_overwritten(
    house: House, program: Program
) -> None:
    read = (await program.ask("GET", "/sources/website")).headers["etag"]
    assert read == '"1"'
    await program.told("PATCH", "/sources/spare", {"name": "Another"})
    headers = {"if-match": read}
    mine = await program.ask("PATCH", "/sources/website", {"name": "Mine"}, **headers)
    assert mine.status == 200
    for method, body in (("PATCH", {"name": "Late"}), ("DELETE", None)):
        late = await program.ask(method, "/sources/website", body, **headers)
        assert late.status == 412
    unknown = await program.ask("PATCH", "/sources/website", {"name": "x"}, **{"if-match": '"99"'})
    assert unknown.status == 412
    assert house.document()["sources"][0]["name"] == "Mine"


# The description


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (NewSource, SOURCE),
        (NewDestination, DESTINATION),
        (NewAudience, AUDIENCE),
        (NewTrait, COMPUTED_TRAIT),
    ],
)
def test_whatever_the_file_can_say_a_body_can_say(
    body: type[msgspec.Struct], rows: tuple[Setting, ...]
) -> None:
    taken = {field.encode_name: field.required for field in msgspec.structs.fields(body)}
    assert taken == {row.name: row.required for row in rows}


async def test_the_description_names_every_operation(program: Program) -> None:
    document = json_of(await program.ask("GET", "/openapi.json"))
    described = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    assert described == {(one.method, one.path) for one in OPERATIONS}
    names = [
        one["operationId"] for methods in document["paths"].values() for one in methods.values()
    ]
    assert len(set(names)) == len(names)
    assert all(one["summary"] for methods in document["paths"].values() for one in methods.values())


def test_every_answer_is_what_the_description_says(house: House, program: Program) -> None:
    """Whatever is asked, well-formed or not: status, kind of content and form of each answer.

    That nobody gets in without a token is tested for every route by itself.
    """
    headers = {"authorization": f"Bearer {house.token('write')}", "host": HOST}
    api = schemathesis.openapi.from_asgi("/api/openapi.json", house.app, headers=headers)
    for operation in api.get_all_operations():
        assert isinstance(operation, Ok)

        @settings(max_examples=10, deadline=None)
        @given(case=operation.ok().as_strategy())
        def answers(case: Any) -> None:
            case.call_and_validate(headers=headers, checks=_TRUE_TO_IT)

        answers()
