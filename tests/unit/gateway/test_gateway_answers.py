"""Answers carry what Segment's libraries and browsers need: JSON bodies, waits in seconds, CORS."""

import msgspec
import pytest

from headgate.gateway import answers
from headgate.gateway.answers import Answer, as_http, error_body

ERRORS: dict[str, Answer] = {
    "not found": answers.NOT_FOUND,
    "not HTTP": answers.BAD_REQUEST,
    "head too large": answers.HEAD_TOO_LARGE,
    "body too large": answers.BODY_TOO_LARGE,
    "message too large": answers.MESSAGE_TOO_LARGE,
    "no write key": answers.NO_WRITE_KEY,
    "bad JSON": answers.BAD_JSON,
    "busy": answers.BUSY,
    "unexpected": answers.UNEXPECTED,
    "too slow": answers.timed_out(30.0),
    "wrong method": answers.method_not_allowed(("POST",)),
}
ANSWERS: dict[str, Answer] = ERRORS | {
    "success": answers.SUCCESS,
    "healthy": answers.healthy([]),
    "the pixel": answers.PIXEL,
    "preflight": answers.preflight(None),
}


def parsed(
    answer: Answer,
    origin: bytes | None = None,
    *,
    keep_alive: bool = True,
    has_body: bool = True,
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the response as it goes out."""
    raw = as_http(answer, origin, keep_alive=keep_alive, has_body=has_body)
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert len(headers) == len(lines), "a header is there twice"
    return int(status.split()[1]), headers, body


def test_success_is_exactly_what_libraries_parse() -> None:
    """Status 200, a JSON object."""
    status, headers, body = parsed(answers.SUCCESS)
    assert (status, body) == (200, b'{"success": true}')
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_any_page_may_read_any_answer(answer: Answer) -> None:
    """Without CORS headers a browser takes a refusal for a broken network and tries again."""
    _, headers, _ = parsed(answer)
    assert headers["access-control-allow-origin"] == "*"
    assert headers["access-control-expose-headers"] == "Retry-After"


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_origin_is_echoed(answer: Answer) -> None:
    """So that requests with credentials work; caches are told."""
    _, headers, _ = parsed(answer, b"https://shop.example")
    assert headers["access-control-allow-origin"] == "https://shop.example"
    assert headers["access-control-allow-credentials"] == "true"
    assert headers["access-control-expose-headers"] == "Retry-After"
    assert headers["vary"] == "Origin"


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_the_length_is_told(answer: Answer) -> None:
    """Also where the body is left out, as for HEAD."""
    status, headers, body = parsed(answer)
    assert status == answer.status
    assert headers["content-length"] == str(len(body))
    assert parsed(answer, has_body=False) == (status, headers, b"")


def test_the_last_answer_of_a_connection_says_so() -> None:
    """A sender that keeps connections open learns that this one is closed."""
    assert "connection" not in parsed(answers.SUCCESS)[1]
    assert parsed(answers.SUCCESS, keep_alive=False)[1]["connection"] == "close"


@pytest.mark.parametrize("answer", ERRORS.values(), ids=ERRORS)
def test_errors_have_the_keys_that_libraries_read(answer: Answer) -> None:
    """code and message for Python, error for Ruby; all text."""
    _, headers, body = parsed(answer)
    told = msgspec.json.decode(body)
    assert told["success"] is False
    assert told["error"] == told["message"] != ""
    assert isinstance(told["code"], str)
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("text", ['quoted "x"', "C:\\new", "two\nlines", "tab\t\0", "größer 🦔"])
def test_any_text_makes_a_valid_error_body(text: str) -> None:
    """Messages quote paths, systems and senders."""
    told = msgspec.json.decode(error_body("code", text))
    assert told["message"] == text


@pytest.mark.parametrize(("asked", "told"), [(-1, "1"), (0, "1"), (7, "7"), (301, "300")])
def test_waits_are_whole_seconds_up_to_five_minutes(asked: int, told: str) -> None:
    """Most libraries parse nothing else."""
    assert parsed(answers.try_again(429, "x", "y", asked))[1]["retry-after"] == told


def test_a_wrong_method_is_told_the_right_ones() -> None:
    """OPTIONS always is one."""
    status, headers, _ = parsed(answers.method_not_allowed(("GET", "HEAD")))
    assert (status, headers["allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        pytest.param(b"authorization,x-retry-count", "authorization,x-retry-count", id="echoed"),
        pytest.param(b"x-gr\xf6\xdfe", "x-größe", id="echoed, odd bytes included"),
        pytest.param(
            None, "authorization, content-type, content-encoding, x-retry-count", id="the usual"
        ),
    ],
)
def test_a_preflight_allows_what_the_browser_asks_for(asked: bytes | None, allowed: str) -> None:
    """For a day, so that there is not one for every event."""
    status, headers, body = parsed(answers.preflight(asked))
    assert (status, body) == (200, b"")
    assert headers["access-control-allow-headers"] == allowed
    assert headers["access-control-allow-methods"] == "GET, POST, OPTIONS"
    assert headers["access-control-max-age"] == "86400"
