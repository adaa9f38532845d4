"""Which values are hidden when personal ones are, and that nothing else of a body changes."""

import msgspec
import pytest

from headgate.app.masking import mask


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"email": "ana@example.com"}', '{"email": "•••"}'),
        ('{"First_Name": "Ana", "lastName":"B"}', '{"First_Name": "•••", "lastName":"•••"}'),
        ('{"phone": 555123, "n": 1.10}', '{"phone": "•••", "n": 1.10}'),
        ('{"address": {"city": ["X", 1]}, "a": "b"}', '{"address": {"city": ["•••", "•••"]}, "a": "b"}'),
        ('{"context":{"ip":"10.0.0.1"},"v":"2.1.0"}', '{"context":{"ip":"•••"},"v":"2.1.0"}'),
        ('{"identity": "ana@example.com"}', '{"identity": "•••"}'),
        ('["seen from 10.0.0.1 and 2001:db8:0:0::1"]', '["seen from ••• and •••"]'),
        ('{"library": {"name": "analytics.js"}}', '{"library": {"name": "analytics.js"}}'),
        ('{"products": [{"name": "Tea"}], "name": "Ana"}', '{"products": [{"name": "Tea"}], "name": "•••"}'),
        ('{"ana@example.com": true}', '{"•••": true}'),
        ('{"note": "say \\"name\\": x", "at": "2026-11-24T03:50:12.345Z"}',) * 2,
        ("mail to ana@example.com was refused", "mail to ••• was refused"),
    ],
)  # fmt: skip
def test_personal_values_are_hidden(before: str, after: str) -> None:
    """By the names of their keys, and by what they look like."""
    assert mask(before) == after


def test_a_masked_body_is_json_still() -> None:
    """With the same keys in the same places."""
    text = '{"a":[{"name":null,"ip":["1.2.3.4",{"x":true}]}],"phone":-1.5e3,"z":"\\u003c"}'
    masked = msgspec.json.decode(mask(text))
    assert masked == {
        "a": [{"name": "•••", "ip": ["•••", {"x": "•••"}]}],
        "phone": "•••",
        "z": "<",
    }


@pytest.mark.parametrize(
    "text", ['{"name": "a@b.c', "}}]]", '{"email" "a@b.c"', '{"a":"' + "x" * 50_000]
)
def test_what_only_looks_like_json_is_masked_without_fuss(text: str) -> None:
    """An answer that was cut, for one."""
    assert "a@b.c" not in mask(text)
