"""The first owner, signing in and out, what limits guesses, and how people come and go."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from html import unescape
from pathlib import Path

import pytest
from asking import PASSWORD, Asker, House, opened

from headgate.app.links import owner_link, password_link
from headgate.app.passwords import hash_of, is_password
from headgate.app.visit import csrf_of
from headgate.workspace.access import LastOwner, LinkGone, Role, hashed
from headgate.workspace.access_store import LINK_MS, SESSION_MS, SESSION_UNUSED_MS

PRIVATE_URL = "http://127.0.0.1:8081"
COOKIE = "headgate_8081"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path) as one:
        yield one


def sign_in_form(name: str, password: str = PASSWORD, following: str = "") -> dict[str, str]:
    """What the sign-in form holds."""
    return {"name": name, "password": password, "next": following}


def first_link(house: House) -> str | None:
    """What `serve` prints."""
    return owner_link(house.data_dir.path, PRIVATE_URL, house.clock)


async def test_the_first_link_makes_the_owner_once(house: House) -> None:
    """It stays the same over restarts; afterwards there is none, and the old one has ended."""
    link = first_link(house)
    assert link is not None
    assert first_link(house) == link
    asker = Asker(house.app)
    path = link.removeprefix(PRIVATE_URL)
    assert "Make the first account" in (await asker.get(path)).words
    form = {"code": path.partition("code=")[2], "name": " Ana ", "password": PASSWORD}
    answer = await asker.post("/setup", form)
    assert (answer.status, answer.location) == (303, "/")
    assert "Ana" in (await asker.get("/")).words
    assert first_link(house) is None
    [ana] = house.access.accounts()
    assert (ana.name, ana.role) == ("Ana", Role.OWNER)
    assert (await Asker(house.app).get(path)).status == 410
    assert (await Asker(house.app).post("/setup", {**form, "name": "Eve"})).status == 410


async def test_a_short_password_keeps_what_was_typed(house: House) -> None:
    """The field says what is wrong; the link still works."""
    code = house.access.invite(Role.EDITOR, "a test")
    asker = Asker(house.app)
    answer = await asker.post("/setup", {"code": code, "name": "ben", "password": "short"})
    assert answer.status == 422
    assert "at least 12 characters; this one has 5" in answer.words
    assert 'value="ben"' in answer.text
    assert (
        await asker.post("/setup", {"code": code, "name": "ben", "password": PASSWORD})
    ).status == 303


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("ANA", "called ANA already"),
        ("apply", "means something else"),
        ("token x", "means something else"),
        (" ", "1 to 100"),
        ("a\u202eb", "printable"),
    ],
)
async def test_names_are_told_apart(house: House, name: str, told: str) -> None:
    """Nobody is mistaken for somebody else, or for a command, in the audit trail."""
    house.account(Role.OWNER, "ana")
    code = house.access.invite(Role.EDITOR, "a test")
    answer = await Asker(house.app).post(
        "/setup", {"code": code, "name": name, "password": PASSWORD}
    )
    assert answer.status == 422
    assert told in answer.words


async def test_signing_in_leads_back_to_the_page_that_was_asked_for(house: House) -> None:
    """And nowhere else than here."""
    house.account(Role.VIEWER, "ana")
    asker = Asker(house.app)
    asked = await asker.get("/sources/website?period=1d")
    assert asked.location == "/login?next=%2Fsources%2Fwebsite%3Fperiod%3D1d"
    answer = await asker.post("/login", sign_in_form("ANA", following="/sources/website?period=1d"))
    assert answer.location == "/sources/website?period=1d"
    for elsewhere in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:x"):
        answer = await asker.post(
            "/login",
            {**sign_in_form("ana", following=elsewhere), "csrf": csrf_of(asker.cookies[COOKIE])},
        )
        assert answer.location == "/"


async def test_the_session_is_for_the_browser_alone(house: House) -> None:
    """Scripts cannot read it, other sites cannot use it, and the store has only its hash."""
    house.account(Role.VIEWER, "ana")
    asker = Asker(house.app)
    answer = await asker.post("/login", sign_in_form("ana"))
    said = answer.headers["set-cookie"]
    assert "HttpOnly" in said
    assert "SameSite=lax" in said
    assert "Secure" not in said
    secret = asker.cookies[COOKIE]
    everything = "\n".join(house.app.parts.workspace._connection.iterdump())
    assert secret not in everything
    assert hashed(secret).hex() in everything.lower()


async def test_behind_tls_the_session_never_travels_in_the_clear(house: House) -> None:
    """A proxy says that the browser speaks https."""
    house.account(Role.VIEWER, "ana")
    headers = {"x-forwarded-proto": "https", "sec-fetch-site": "same-origin"}
    body = f"name=ana&password={PASSWORD.replace(' ', '+')}".encode()
    answer = await Asker(house.app).ask("POST", "/login", body=body, headers=headers)
    assert "Secure" in answer.headers["set-cookie"]


async def test_a_wrong_name_and_a_wrong_password_are_the_same(house: House) -> None:
    """Nobody learns who has an account."""
    house.account(Role.VIEWER, "ana")
    answers = [
        await Asker(house.app).post("/login", sign_in_form(name, "wrong wrong wrong"))
        for name in ("ana", "ben")
    ]
    assert [one.status for one in answers] == [401, 401]
    texts = [one.text.replace('value="ana"', "").replace('value="ben"', "") for one in answers]
    assert texts[0] == texts[1]


async def test_guesses_have_to_wait_ever_longer_but_not_for_good(house: House) -> None:
    """After five of them; the right password waits as well, so that it cannot be told from a wrong one."""
    house.account(Role.VIEWER, "ana")
    asker = Asker(house.app)
    for _ in range(5):
        assert (await asker.post("/login", sign_in_form("ana", "guess"))).status == 401
    for seconds in (1, 2, 4, 8, 16, 32, 60, 60):
        answer = await asker.post("/login", sign_in_form("Ana"))
        assert answer.status == 429
        assert f"Try again in {seconds} second" in answer.words
        house.clock.advance(seconds)
        assert (await asker.post("/login", sign_in_form("ana", "guess"))).status == 401
    assert (await asker.post("/login", sign_in_form("somebody else", "guess"))).status == 401
    house.clock.advance(60)
    assert (await asker.post("/login", sign_in_form("ana"))).status == 303


async def test_a_session_ends_by_itself(house: House) -> None:
    """After a week without use, after a quarter of a year in any case."""
    viewer = await house.somebody(Role.VIEWER)
    for _ in range(SESSION_MS // SESSION_UNUSED_MS):
        assert (await viewer.get("/")).status == 200
        house.clock.advance(SESSION_UNUSED_MS / 1000 - 1)
    assert (await viewer.get("/")).status == 200
    house.clock.advance(SESSION_UNUSED_MS / 1000 - 1)
    assert (await viewer.get("/")).status == 303
    other = await house.somebody(Role.VIEWER)
    house.clock.advance(SESSION_UNUSED_MS / 1000)
    assert (await other.get("/")).status == 303


async def test_signing_out_ends_the_session_on_the_server_too(house: House) -> None:
    """Whoever kept the cookie has nothing."""
    viewer = await house.somebody(Role.VIEWER)
    kept = dict(viewer.cookies)
    assert (await viewer.post("/logout")).location == "/login"
    viewer.cookies = kept
    assert (await viewer.get("/")).status == 303


async def test_what_was_typed_outlives_the_session(house: House) -> None:
    """A form that is sent too late waits behind the sign-in, also behind a wrong password; secrets do not."""
    editor = await house.somebody(Role.EDITOR, "ed")
    editor.cookies.clear()
    typed = {"version": "1", "name": "Typed <b>", "type": "website", "new_password": "secret one"}
    late = await editor.post("/sources/website/settings", typed)
    assert late.status == 401
    assert "secret one" not in late.text
    wrong = await editor.post("/login", {**sign_in_form("ed", "wrong"), **hidden(late.text)})
    back = await editor.post("/login", {**sign_in_form("ed"), **hidden(wrong.text)})
    assert back.status == 200
    assert "Typed <b>" in back.words
    answer = await editor.post("/sources/website/settings", hidden(back.text))
    assert answer.location == "/sources/website"
    assert house.document()["sources"][0]["name"] == "Typed <b>"


def hidden(text: str) -> dict[str, str]:
    """What the hidden fields of a page hold."""
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', text)
    return {name: unescape(value) for name, value in found}


async def test_signing_out_everywhere_ends_every_session(house: House) -> None:
    """Of this person, and of nobody else."""
    ana = house.account(Role.VIEWER, "ana")
    other = await house.somebody(Role.VIEWER, "ben")
    askers = [Asker(house.app), Asker(house.app)]
    for asker in askers:
        asker.cookies[COOKIE] = house.access.sign_in(ana, "a browser")
        await asker.get("/settings/people")
    await askers[0].post("/settings/people/me/sign-out")
    assert [(await one.get("/")).status for one in (*askers, other)] == [303, 303, 200]


async def test_a_new_password_needs_the_old_one_and_ends_other_sessions(house: House) -> None:
    """The one that changes it goes on."""
    ana = house.account(Role.VIEWER, "ana")
    here, there = Asker(house.app), Asker(house.app)
    for asker in (here, there):
        asker.cookies[COOKIE] = house.access.sign_in(ana, "a browser")
        await asker.get("/settings/people")
    path, then = "/settings/people/me/password", "another horse battery"
    wrong = await here.post(path, {"password": "wrong", "new_password": then})
    assert (wrong.status, "This is not your password" in wrong.words) == (422, True)
    short = await here.post(path, {"password": PASSWORD, "new_password": "short"})
    assert (short.status, "at least 12" in short.words) == (422, True)
    assert (await here.post(path, {"password": PASSWORD, "new_password": then})).status == 303
    assert [(await one.get("/")).status for one in (here, there)] == [200, 303]
    assert (await Asker(house.app).post("/login", sign_in_form("ana"))).status == 401
    assert (await Asker(house.app).post("/login", sign_in_form("ana", then))).status == 303


async def test_an_invitation_makes_one_account_within_a_week(house: House) -> None:
    """Shown once, kept as a hash, gone after use and by itself."""
    owner = await house.somebody(Role.OWNER, "ana")
    answer = await owner.post("/settings/people/invite", {"role": "editor"})
    path = answer.text.partition(PRIVATE_URL)[2].partition("<")[0]
    assert path.startswith("/setup?code=")
    code = path.partition("code=")[2]
    assert code not in "\n".join(house.app.parts.workspace._connection.iterdump())
    ben = Asker(house.app)
    assert "It is an editor" in (await ben.get(path)).words
    await ben.post("/setup", {"code": code, "name": "ben", "password": PASSWORD})
    assert [(one.name, one.role) for one in house.access.accounts()][1:] == [("ben", Role.EDITOR)]
    late = house.access.invite(Role.OWNER, "ana")
    house.clock.advance(LINK_MS / 1000)
    assert (await Asker(house.app).get(f"/setup?code={late}")).status == 410
    with pytest.raises(LinkGone):
        house.access.redeem(late, "late", "x")


async def test_a_link_for_a_new_password_replaces_the_one_before(house: House) -> None:
    """And signs out whoever has the old password."""
    owner = await house.somebody(Role.OWNER, "ana")
    ben = await house.somebody(Role.EDITOR, "ben")
    number = next(one.id for one in house.access.accounts() if one.name == "ben")
    first = house.access.renew(number, "ana")
    answer = await owner.post(f"/settings/people/{number}/link")
    second = answer.text.partition("code=")[2].partition("<")[0]
    asker = Asker(house.app)
    assert (await asker.get(f"/setup?code={first}")).status == 410
    assert "New password for ben" in (await asker.get(f"/setup?code={second}")).words
    then = "another horse battery"
    await asker.post("/setup", {"code": second, "name": "not ben", "password": then})
    assert (await asker.get("/")).status == 200
    assert (await ben.get("/")).status == 303
    assert (await Asker(house.app).post("/login", sign_in_form("ben", then))).status == 303


async def test_who_can_use_the_terminal_can_give_anybody_a_new_password(house: House) -> None:
    """The only owner, too; the trail says where it came from."""
    ana = await house.somebody(Role.OWNER, "ana")
    assert password_link(house.data_dir.path, PRIVATE_URL, "nobody", house.clock) is None
    link = password_link(house.data_dir.path, PRIVATE_URL, "ANA", house.clock)
    assert link is not None
    assert (
        "terminal made a link for a new password: ana" in (await ana.get("/settings/audit")).words
    )
    code, then = link.partition("code=")[2], "another horse battery"
    again = Asker(house.app)
    await again.post("/setup", {"code": code, "name": "", "password": then})
    assert [(await one.get("/")).status for one in (ana, again)] == [303, 200]


async def test_a_role_changes_at_once(house: House) -> None:
    """Also for those who are signed in."""
    owner = await house.somebody(Role.OWNER, "ana")
    ben = await house.somebody(Role.EDITOR, "ben")
    number = next(one.id for one in house.access.accounts() if one.name == "ben")
    await owner.post(f"/settings/people/{number}/role", {"role": "viewer"})
    assert (await ben.post("/sources/website/keys")).status == 403
    await owner.post(f"/settings/people/{number}/remove")
    assert (await ben.get("/")).status == 303
    assert [one.name for one in house.access.accounts()] == ["ana"]


async def test_the_last_owner_stays(house: House) -> None:
    """Nobody could manage people any more."""
    owner = await house.somebody(Role.OWNER, "ana")
    [ana] = house.access.accounts()
    for path, form in (("role", {"role": "viewer"}), ("remove", {})):
        answer = await owner.post(f"/settings/people/{ana.id}/{path}", form)
        assert answer.status == 422
        assert "ana is the only owner" in answer.words
    with pytest.raises(LastOwner):
        house.access.remove(ana.id, "a test")
    house.account(Role.OWNER, "ben")
    assert (await owner.post(f"/settings/people/{ana.id}/remove")).status == 303


async def test_a_token_is_shown_once(house: House) -> None:
    """What is kept is a hash; afterwards there is its name, and when it was used."""
    owner = await house.somebody(Role.OWNER)
    answer = await owner.post("/settings/access", {"name": "deploy", "scope": "write"})
    secret = answer.text.partition('<code id="token">')[2].partition("<")[0]
    assert secret.startswith("hg_")
    page = await owner.get("/settings/access")
    assert "deploy" in page.words
    assert secret not in page.text
    assert secret not in "\n".join(house.app.parts.workspace._connection.iterdump())
    used = await Asker(house.app).ask(
        "GET", "/api/sources", headers={"authorization": f"Bearer {secret}"}
    )
    assert used.status == 200
    assert "from 127.0.0.1" in (await owner.get("/settings/access")).words


async def test_the_theme_is_kept_by_the_browser(house: House) -> None:
    """Light, dark, or the system's; nothing else gets into the page."""
    viewer = await house.somebody(Role.VIEWER)
    assert 'data-theme="system"' in (await viewer.get("/")).text
    assert (
        await viewer.post("/theme", {"theme": "dark", "next": "/sources"})
    ).location == "/sources"
    assert 'data-theme="dark"' in (await viewer.get("/")).text
    viewer.cookies["headgate_theme"] = '"><script>'
    assert 'data-theme="system"' in (await viewer.get("/")).text


def test_passwords_are_hashed_with_salt_and_cost() -> None:
    """OWASP's minimum for argon2id, and two hashes of one password differ."""
    one, other = hash_of(PASSWORD), hash_of(PASSWORD)
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert one != other
    assert is_password(PASSWORD, one)
    assert not is_password(PASSWORD + "x", one)
    assert not is_password(PASSWORD, None)
    assert not is_password(PASSWORD, "not a hash")


def test_the_store_of_a_data_directory_without_access_is_brought_up_to_date(tmp_path: Path) -> None:
    """One that was made before there were accounts."""
    from headgate.clock import ManualClock
    from headgate.queries import load_migrations
    from headgate.workspace.access_store import AccessStore

    path = tmp_path / "workspace.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript("".join(load_migrations("headgate.workspace")[:2]))
        db.execute("PRAGMA user_version = 2")
    with closing(AccessStore(path, ManualClock())) as store:
        assert store.first_link()
        assert store.accounts() == []
