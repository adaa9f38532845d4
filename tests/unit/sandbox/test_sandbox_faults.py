"""The fault plan and the answers that travel in messages: which answer is played when."""

from typing import Any

import msgspec
import pytest

from headgate.sandbox import rows
from headgate.sandbox.answers import AnswerError, Scripts, parse_script
from headgate.sandbox.faults import Answer, FaultPlan, PlanError, parse_plan

BODY = {"app_id": "1", "events": [{"identity": "ann", "event": "A"}, {"identity": "bob"}]}


def make_plan(*plan_rules: dict[str, Any]) -> FaultPlan:
    plan = FaultPlan()
    plan.set(parse_plan(msgspec.json.encode({"rules": plan_rules})))
    return plan


def played(plan: FaultPlan, times: int, path: str = "/api/track", body: Any = BODY) -> list[int]:
    """Which of so many equal requests met the plan, counted from 1."""
    chosen = [plan.choose(path, lambda: body, read=True) for _ in range(times)]
    return [n for n, answer in enumerate(chosen, 1) if answer is not None]


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        pytest.param({}, True, id="everything"),
        pytest.param({"path": "/api/track"}, True, id="path"),
        pytest.param({"path": "/api/*"}, True, id="path with a star"),
        pytest.param({"path": "/api"}, False, id="a part of the path"),
        pytest.param({"app_id": "1"}, True, id="app"),
        pytest.param({"app_id": "2"}, False, id="another app"),
        pytest.param({"identity": "bob"}, True, id="any row's identity"),
        pytest.param({"identity": "eve"}, False, id="another identity"),
        pytest.param({"event": "A", "app_id": "1"}, True, id="event and app"),
        pytest.param({"event": "A", "app_id": "2"}, False, id="event of another app"),
    ],
)
def test_a_rule_fits_what_its_match_says(match: dict[str, Any], fits: bool) -> None:
    plan = make_plan({"match": match, "answer": {"status": 500}})
    assert bool(played(plan, 1)) is fits


@pytest.mark.parametrize(
    ("rule", "met"),
    [
        pytest.param({}, [1, 2, 3, 4], id="always"),
        pytest.param({"times": 2}, [1, 2], id="twice"),
        pytest.param({"match": {"nth": 2}}, [2], id="the second"),
        pytest.param({"match": {"nth": [1, 3]}}, [1, 3], id="first and third"),
        pytest.param({"probability": 0}, [], id="never"),
        pytest.param({"probability": 1, "times": 1}, [1], id="surely, once"),
    ],
)
def test_a_rule_plays_as_often_as_it_says(rule: dict[str, Any], met: list[int]) -> None:
    assert played(make_plan(rule | {"answer": {"status": 500}}), 4) == met


def test_a_seeded_probability_repeats_itself() -> None:
    rule = {"probability": 0.5, "seed": 3, "answer": {"status": 500}}
    first = played(make_plan(rule), 100)
    assert 30 < len(first) < 70
    assert played(make_plan(rule), 100) == first


def test_the_first_rule_with_plays_left_decides() -> None:
    plan = make_plan({"times": 1, "answer": {"status": 500}}, {"answer": {"status": 503}})
    statuses = [answer.status for _ in range(2) if (answer := plan.choose("/", dict, read=True))]
    assert statuses == [500, 503]
    assert [(rule["matched"], rule["played"]) for rule in plan.report()] == [(1, 1), (1, 1)]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"[", id="not JSON"),
        pytest.param(b'{"rules": [{}]}', id="no answer"),
        pytest.param(b'{"rules": [{"answer": {"status": 99}}]}', id="a status below 200"),
        pytest.param(b'{"rules": [{"answer": {"states": 500}}]}', id="an unknown key"),
        pytest.param(
            b'{"rules": [{"match": {"identity": "a"}, "answer": {"read": false}}]}',
            id="a body matched before it is read",
        ),
    ],
)
def test_a_plan_nobody_can_play_is_refused(text: bytes) -> None:
    with pytest.raises(PlanError):
        parse_plan(text)


@pytest.mark.parametrize(
    ("answer", "stores"),
    [
        pytest.param(Answer(), True, id="Heap's own"),
        pytest.param(Answer(status=204), True, id="another success"),
        pytest.param(Answer(status=302), False, id="a redirect"),
        pytest.param(Answer(status=500), False, id="an error"),
        pytest.param(Answer(status=500, store=True), True, id="an error after storing"),
        pytest.param(Answer(connection="reset"), False, id="a reset"),
        pytest.param(Answer(connection="hang", store=True), True, id="a hang after storing"),
        pytest.param(Answer(connection="reset-mid-reply"), True, id="a reset amid the reply"),
        pytest.param(Answer(read=False, store=True), False, id="nothing was read"),
    ],
)
def test_an_answer_stores_when_it_looks_like_success(answer: Answer, stores: bool) -> None:
    assert answer.stores is stores


@pytest.mark.parametrize(
    ("text", "script"),
    [
        pytest.param("200", [Answer()], id="plain"),
        pytest.param("500,200", [Answer(status=500), Answer()], id="two"),
        pytest.param(
            "429;retry-after=2, 200",
            [Answer(status=429, headers={"retry-after": "2"}), Answer()],
            id="a header",
        ),
        pytest.param("200;delay=0.5", [Answer(delay_s=0.5)], id="a delay"),
        pytest.param("302", [Answer(status=302, headers={"location": "/redirected"})], id="302"),
        pytest.param(
            "307;location=http://elsewhere/",
            [Answer(status=307, headers={"location": "http://elsewhere/"})],
            id="elsewhere",
        ),
        pytest.param("reset", [Answer(connection="reset")], id="reset"),
        pytest.param(
            "timeout-after-storing", [Answer(connection="hang", store=True)], id="after storing"
        ),
    ],
)
def test_a_script_is_a_list_of_answers(text: str, script: list[Answer]) -> None:
    assert parse_script(text) == script


@pytest.mark.parametrize("text", ["", "5", "600", "resett", "200;later=1", "200;delay=x", "200,"])
def test_a_script_with_a_wrong_word_is_refused(text: str) -> None:
    with pytest.raises(AnswerError):
        parse_script(text)


def scripted(text: str, **fields: Any) -> dict[str, Any]:
    return {"identity": "ann", "properties": {"sandbox_answers": text}, **fields}


def statuses(scripts: Scripts, times: int, *items: dict[str, Any]) -> list[int | None]:
    found = rows.rows({"events": list(items)})
    answers = [scripts.choose("1", found) for _ in range(times)]
    return [answer.status if answer else None for answer in answers]


def test_the_last_answer_of_a_script_repeats() -> None:
    row = scripted("500,503,200", idempotency_key="k")
    assert statuses(Scripts(), 4, row) == [500, 503, None, None]


def test_the_first_row_with_another_answer_decides_and_every_turn_counts() -> None:
    first = scripted("200,500,200", idempotency_key="a")
    second = scripted("503,400,200", idempotency_key="b")
    assert statuses(Scripts(), 3, {"identity": "x"}, first, second) == [503, 500, None]


def test_rows_are_told_apart_by_key_or_by_user_and_text() -> None:
    scripts = Scripts()
    assert statuses(scripts, 1, scripted("500,200", idempotency_key="a")) == [500]
    assert statuses(scripts, 1, scripted("500,200", idempotency_key="b")) == [500]
    assert statuses(scripts, 2, scripted("500,200")) == [500, None]
    assert statuses(scripts, 1, scripted("500,200", identity="bob")) == [500]
