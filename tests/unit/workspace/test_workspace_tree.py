"""The YAML that is read and the YAML that is not."""

import pytest

from headgate.workspace.errors import InvalidWorkspace
from headgate.workspace.tree import MAX_DEPTH, Node, OddNumber, from_plain, from_yaml, path_text

SCALARS = {
    "text": ("a", "a"),
    "quoted number": ("'1'", "1"),
    "number": ("15000", 15000),
    "negative number": ("-1", -1),
    "fraction": ("0.5", 0.5),
    "yes": ("yes", True),
    "off": ("off", False),
    "null": ("~", None),
    "nothing": ("", None),
    "date": ("2024-01-31", "2024-01-31"),
    "octal": ("0123", OddNumber("0123")),
    "hexadecimal": ("0x1F", OddNumber("0x1F")),
    "underscores": ("1_000", OddNumber("1_000")),
    "base sixty": ("1:30", OddNumber("1:30")),
    "not a number": (".nan", OddNumber(".nan")),
    "infinite": ("1.0e+999", OddNumber("1.0e+999")),
    "too large": ("9007199254740992", OddNumber("9007199254740992")),
    "endless": ("9" * 10_000, OddNumber("9" * 10_000)),
    "words": ("a b", "a b"),
}


@pytest.mark.parametrize(("text", "value"), SCALARS.values(), ids=SCALARS)
def test_a_scalar_has_the_value_that_yaml_gives_it(text: str, value: object) -> None:
    """Numbers in an unusual form are kept apart, whole with their text."""
    root, problems = from_yaml(f"key: {text}\n", "f")
    assert problems == []
    found = root.value["key"].value
    assert (type(found), found) == (type(value), value)


REFUSED = {
    "tab": ("a:\n\tb: 1\n", "indent with spaces, not tabs"),
    "unclosed": ("a: [1,\n", "expected YAML, found "),
    "variable in braces": ("a: {b: ${X}}\n", 'in quotes: "${NAME}"'),
    "alias": ("a: &x 1\nb: *x\n", "expected a value without an anchor, found &x, at a (f:1:4)"),
    "dangling alias": ("b: *x\n", "expected a value, found the alias *x, at b (f:1:4)"),
    "tag": ("a: !!python/name:os.system x\n", "expected a value without a tag, found the tag"),
    "tagged key": ("!!str a: x\n", "expected a value without a tag"),
    "two documents": ("a: 1\n---\nb: 1\n", "expected one document, found a second one, in f:2:1"),
    "list as key": ("? [a]\n: 1\n", "expected a text as key, found something else"),
    "deep": ("[" * 5_000, "expected at most 32 levels, found a deeper one"),
    "wide": ("[" + "a," * 250_000 + "]", "expected at most 200000 values, found more"),
    "large": ("#" * (4 * 1024 * 1024 + 1), "expected at most 4194304 bytes, found 4194305 bytes"),
    "control character": ("a: b\nc: \x07\n", "found the character U+0007, in f:2:4"),
    "lone surrogate": ("a: \ud800\n", "found the character U+D800, in f:1:4"),
}


@pytest.mark.parametrize(("text", "part"), REFUSED.values(), ids=REFUSED)
def test_yaml_that_could_surprise_is_refused_with_its_place(text: str, part: str) -> None:
    """Bombs, tags and broken text end in a sentence with line and column."""
    with pytest.raises(InvalidWorkspace) as refused:
        from_yaml(text, "f")
    assert part in str(refused.value)


def test_keys_given_twice_are_all_told() -> None:
    """A key that is repeated hides no other problem."""
    _, problems = from_yaml("a: 1\na: 2\nb: {c: 1, c: 2}\n", "f")
    assert [(problem.path, problem.line) for problem in problems] == [("a", 2), ("b.c", 3)]


def test_a_node_has_the_line_of_its_key() -> None:
    """Inside a mapping people look for the key; a path that leads nowhere ends at its parent."""
    root, _ = from_yaml("a:\n  b:\n    - x\n    - y\n", "f")
    assert [root.line_at(path) for path in ((), ("a",), ("a", "b", 1), ("a", "z", 0))] == [
        1,
        1,
        4,
        1,
    ]


def test_plain_data_has_bounds_too() -> None:
    """What the app sends may not be deeper than a file."""
    value: object = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    assert isinstance(from_plain(value, "f"), Node)
    with pytest.raises(InvalidWorkspace, match="at most 32 levels"):
        from_plain([value], "f")


def test_plain_numbers_that_json_cannot_keep_are_odd() -> None:
    """Numbers beyond 2^53 and NaN are not read as numbers."""
    assert from_plain(2**53, "f").value == OddNumber(str(2**53))
    assert from_plain(float("nan"), "f").value == OddNumber("nan")


PATHS = {
    "root": ((), ""),
    "key": (("sources",), "sources"),
    "item": (("sources", 0, "writeKeys", 12), "sources[0].writeKeys[12]"),
    "odd key": (("identity", "e mail"), 'identity["e mail"]'),
}


@pytest.mark.parametrize(("path", "text"), PATHS.values(), ids=PATHS)
def test_a_path_is_written_as_people_write_it(path: tuple[str | int, ...], text: str) -> None:
    """Dots for keys, brackets for positions and for keys that need quotes."""
    assert path_text(path) == text
