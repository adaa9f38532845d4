"""The audit trail: every change with its author, before and after; secrets never."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import House, opened

from data_dirs import destination, source
from headgate.workspace.access import Role


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path) as one:
        yield one


async def test_every_change_is_in_the_trail_with_before_and_after(house: House) -> None:
    """Those of the app, of a file and of access alike, the newest first."""
    ana = await house.somebody(Role.OWNER, "ana")
    house.clock.advance(1)
    await ana.post("/sources/website/settings", {"version": "1", "name": "Shop", "type": "website"})
    house.clock.advance(1)
    house.account(Role.EDITOR, "ben")
    house.clock.advance(1)
    number = next(one.id for one in house.access.accounts() if one.name == "ben")
    await ana.post(f"/settings/people/{number}/role", {"role": "viewer"})
    words = (await ana.get("/settings/audit")).words
    changed = "ana changed a role: ben editor → viewer"
    renamed = "ana changed the workspace (version 2) ~ source website: name Website → Shop"
    assert changed in words
    assert renamed in words
    assert "a test changed the workspace (version 1)" in words
    assert words.index(changed) < words.index("ben joined") < words.index(renamed)


async def test_secrets_are_never_in_the_trail(house: House) -> None:
    """Neither write keys and settings of destinations, nor tokens, links and passwords."""
    ana = await house.somebody(Role.OWNER, "ana")
    house.data_dir.use(
        sources=[source(writeKeys=["wk_secret_one"])],
        destinations=[destination(settings={"appId": "1", "deletionApiKey": "key_secret"})],
    )
    await ana.post("/sources/website/keys")
    token = house.token("read")
    code = house.access.invite(Role.VIEWER, "ana")
    text = (await ana.get("/settings/audit")).text
    for secret in ("wk_secret_one", "key_secret", token, code, "correct horse", "argon2"):
        assert secret not in text
    assert "made a token" in text


async def test_a_long_trail_is_read_page_by_page(house: House) -> None:
    """Each change once, in order; the address holds the place."""
    ana = await house.somebody(Role.OWNER, "ana")
    for number in range(70):
        house.clock.advance(1)
        if number % 2:
            house.access.make_token(f"token-{number:02}", "read", "ana")
        else:
            wanted = "false" if number % 4 else "true"
            await ana.post("/sources/spare/enabled", {"enabled": wanted})
    seen: list[str] = []
    path = "/settings/audit"
    for _ in range(5):
        answer = await ana.get(path)
        rows = answer.text.partition("<tbody>")[2].partition("</tbody>")[0].split("<tr>")[1:]
        assert len(rows) <= 50
        seen += [row.partition('datetime="')[2].partition('"')[0] + row for row in rows]
        if "Earlier changes" not in answer.text:
            break
        path = answer.text.partition('class="button" href="/settings/audit')[2].partition('"')[0]
        path = "/settings/audit" + path.replace("&amp;", "&")
    assert len(seen) == len(set(seen))
    times = [row[:24] for row in seen]
    assert times == sorted(times, reverse=True)
    tokens = [row for row in seen if "made a token" in row]
    versions = [row for row in seen if "(version" in row]
    assert len(tokens) == 35
    assert len(versions) == house.app.parts.workspace.current().number
