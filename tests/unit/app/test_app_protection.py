"""Every address of the app, one by one: nobody changes or reads anything without the right to."""

import re
from collections.abc import Iterator

import pytest
from asking import HOST, SAME_ORIGIN, Asker, House, opened, watching
from starlette.routing import Route

from headgate.app.routes import AppRoute
from headgate.app.web import ROUTES
from headgate.workspace.access import Role

VALUES = {
    "slug": "website",
    "index": "0",
    "sourceId": "website",
    "destinationId": "heap",
    "destinationMetadataId": "heap",
}
VALUES_OF = {"destinations": {"slug": "heap"}}  # by the first word of the address
ANY_VALUE = "1"
ACTIONS = [one for one in ROUTES if one.kind == "action"]
GUARDED_ACTIONS = [one for one in ACTIONS if one.needs is not None]
OPEN_ACTIONS = {"/login", "/setup", "/theme"}
OPEN_PAGES = {"/login", "/setup"}
PAGES = [one for one in ROUTES if one.kind == "page"]
CALLS = [one for one in ROUTES if one.kind == "call"]
STREAMS = [one for one in ROUTES if one.kind == "stream"]
HOSTILE = {
    "cross-site": {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
    "same site, another origin": {"sec-fetch-site": "same-site", "origin": f"http://{HOST}"},
    "another origin": {"origin": "https://evil.example"},
    "another port": {"origin": "http://127.0.0.1:8080"},
    "no origin": {},
    "a hidden origin": {"origin": "null"},
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for all of them, since none changes anything."""
    with opened(tmp_path_factory.mktemp("protection")) as one:
        yield one


each_action = pytest.mark.parametrize("route", ACTIONS, ids=lambda one: one.path)
each_guarded = pytest.mark.parametrize("route", GUARDED_ACTIONS, ids=lambda one: one.path)
each_page = pytest.mark.parametrize("route", PAGES, ids=lambda one: one.path)
each_stream = pytest.mark.parametrize("route", STREAMS, ids=lambda one: one.path)
each_call = pytest.mark.parametrize("route", CALLS, ids=lambda one: f"{one.method} {one.path}")


def address(route: AppRoute) -> str:
    """An address of the route, which leads somewhere where the house has such a thing."""
    values = VALUES | VALUES_OF.get(route.path.split("/")[1], {})
    return re.sub(r"\{(\w+)(:\w+)?\}", lambda place: values.get(place[1], ANY_VALUE), route.path)


def test_nothing_is_served_that_is_not_listed(house: House) -> None:
    """Beside the listed routes there are the assets, which change nothing."""
    served = {
        (one.path, method)
        for one in house.app._app.routes
        if isinstance(one, Route)
        for method in one.methods or ()
    }
    assert len(served) > len(ROUTES)
    listed = {(one.path, one.method) for one in ROUTES} | {("/assets/{name}", "GET")}
    heads = {(path, "HEAD") for path, method in listed if method == "GET"}
    assert served == listed | heads


def test_only_signing_in_is_open_to_everybody() -> None:
    """Whatever else is added needs a role, said here if it does not."""
    assert {one.path for one in ACTIONS if one.needs is None} == OPEN_ACTIONS
    assert {one.path for one in PAGES if one.needs is None} == OPEN_PAGES
    assert all(one.needs is not None for one in (*CALLS, *STREAMS))


def test_what_changes_something_is_posted() -> None:
    """A link, an image or a prefetch can only GET."""
    assert {one.method for one in (*PAGES, *STREAMS)} == {"GET"}
    assert {one.method for one in ACTIONS} == {"POST"}
    writing = {one for one in CALLS if one.method != "GET"}
    assert writing
    assert all(one.needs is not None and one.needs >= Role.EDITOR for one in writing)


@each_guarded
async def test_an_action_without_a_session_changes_nothing(house: House, route: AppRoute) -> None:
    """It leads to the sign-in, and keeps what was typed."""
    house.account(Role.OWNER)
    before = house.everything()
    answer = await Asker(house.app).post(address(route), {"slug": "website", "role": "owner"})
    assert answer.status == 401
    assert "You were signed out meanwhile." in answer.words
    assert house.everything() == before


@each_guarded
@pytest.mark.parametrize("proof", ["", "0" * 64], ids=["without", "wrong"])
async def test_an_action_without_proof_changes_nothing(
    house: House, route: AppRoute, proof: str
) -> None:
    """A session alone is no proof: the cookie is sent by the browser, whoever made the form."""
    owner = await house.somebody(Role.OWNER)
    assert len(owner.csrf) == len(proof or "0" * 64)
    owner.csrf = proof
    before = house.everything()
    answer = await owner.post(address(route), {"slug": "website", "role": "viewer"})
    assert answer.status == 403
    assert "another session" in answer.words
    assert house.everything() == before


@each_action
async def test_an_action_from_elsewhere_changes_nothing(house: House, route: AppRoute) -> None:
    """Even with the right proof; signing in and the theme too, which have no session yet."""
    owner = await house.somebody(Role.OWNER)
    before = house.everything()
    body = f"csrf={owner.csrf}".encode()
    for whence, headers in HOSTILE.items():
        answer = await owner.ask("POST", address(route), body=body, headers=headers)
        assert answer.status == 403, whence
        assert "not sent by a page of Headgate" in answer.words
        assert house.everything() == before, whence


@each_guarded
async def test_an_action_needs_its_role(house: House, route: AppRoute) -> None:
    """One role less, and the answer says which one it takes."""
    assert route.needs is not None
    if route.needs is Role.VIEWER:
        return  # the least there is; without any the session is missing
    less = await house.somebody(Role(route.needs - 1))
    before = house.everything()
    answer = await less.post(address(route), {"slug": "website", "role": "owner"})
    assert answer.status == 403
    assert f"needs the role {route.needs.word}" in answer.words
    assert house.everything() == before


@each_page
async def test_a_page_without_a_session_shows_nothing(house: House, route: AppRoute) -> None:
    """It leads to the sign-in, and from there back."""
    house.account(Role.OWNER)
    answer = await Asker(house.app).get(address(route))
    if route.needs is None:
        assert answer.status in (200, 410)
        assert "Website" not in answer.words
    else:
        assert answer.status == 303
        assert answer.location.startswith("/login")
        assert answer.text == ""


@each_page
async def test_a_page_changes_nothing(house: House, route: AppRoute) -> None:
    """Not even for an owner; what a page reads with cannot write."""
    owner = await house.somebody(Role.OWNER)
    house.token("read")
    before = house.everything()
    answer = await owner.get(address(route))
    assert answer.status in (200, 303, 404, 410)
    assert house.everything() == before


@each_page
async def test_a_page_lets_nothing_in_from_elsewhere(house: House, route: AppRoute) -> None:
    """The policy has no exception, and no page has what it would forbid."""
    owner = await house.somebody(Role.OWNER)
    house.token("read")
    answer = await owner.get(address(route))
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert not re.search(
        r"<style|<script(?! src=)|\sstyle=|\son[a-z]+=|(src|href|action)=.(https?:)?//",
        _code_out(answer.text),
    )


@each_stream
async def test_a_line_without_a_session_tells_nothing(house: House, route: AppRoute) -> None:
    """It says that the session is over, and ends."""
    answer = await Asker(house.app).get(address(route))
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.text == 'event: over\ndata: ""\n\n'


@each_stream
async def test_a_line_changes_nothing(house: House, route: AppRoute) -> None:
    """Not even for an owner, and what it tells is kept nowhere on the way."""
    owner = await house.somebody(Role.OWNER)
    before = house.everything()
    async with watching(owner, address(route)) as line:
        assert (await line.next()).event == "beat"
        assert line.headers["cache-control"] == "no-store"
    assert house.everything() == before


@each_call
async def test_a_call_needs_a_token(house: House, route: AppRoute) -> None:
    """A session is not enough: a page elsewhere could make a browser call."""
    owner = await house.somebody(Role.OWNER)
    before = house.everything()
    for headers in ({}, {"authorization": "Bearer hg_wrong"}, {"authorization": "Basic Og=="}):
        answer = await owner.ask(
            route.method, address(route), body=b'{"name":"x"}', headers={**SAME_ORIGIN, **headers}
        )
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    assert house.everything() == before


@each_call
async def test_a_call_needs_the_scope(house: House, route: AppRoute) -> None:
    """To read is not to write; a token that is revoked opens nothing."""
    secret = house.token("read")
    before = house.everything()
    headers = {"authorization": f"Bearer {secret}"}
    nobody = Asker(house.app)
    answer = await nobody.ask(route.method, address(route), body=b'{"name":"x"}', headers=headers)
    assert answer.status in ((200, 404) if route.needs is Role.VIEWER else (403,))
    assert house.everything() == before
    house.access.revoke(house.access.tokens()[-1].id, "a test")
    answer = await nobody.ask(route.method, address(route), headers=headers)
    assert answer.status == 401


async def test_an_endless_form_is_refused(house: House) -> None:
    """More than a form of ours can hold is not read to its end."""
    owner = await house.somebody(Role.OWNER)
    answer = await owner.post("/sources/new", {"name": "x" * 1_100_000})
    assert answer.status == 413


async def test_an_unknown_address_is_told_in_words(house: House) -> None:
    """To those who are signed in and to those who are not."""
    owner = await house.somebody(Role.OWNER)
    for asker in (owner, Asker(house.app)):
        answer = await asker.get("/nothing/here")
        assert answer.status == 404
        assert "There is no such page" in answer.words


def _code_out(text: str) -> str:
    """A page without the lines to paste, which are text for other pages."""
    return re.sub(r"<code.*?</code>", "", text, flags=re.DOTALL)
