"""How values are shown: nothing hidden, nothing run, moments exact."""

import pytest

from headgate.app.showing import ago, clock, figure, made_visible, masked, moment


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Order Completed ", 'Order Completed<span class="odd" title="space">·</span>'),
        ("  ", '<span class="odd" title="space">··</span>'),
        ("", ""),
        ("a\u00a0b", 'a<span class="odd" title="no-break space">U+00A0</span>b'),
        ("\u202e", '<span class="odd" title="right-to-left override">U+202E</span>'),
        ("a\nb", 'a<span class="odd" title="a control character">U+000A</span>b'),
        ("\ud800", '<span class="odd" title="a control character">U+D800</span>'),
        ("<b>&\"'", "&lt;b&gt;&amp;&#34;&#39;"),
        ("été 名前", "été 名前"),
    ],
)
def test_what_cannot_be_seen_is_shown(text: str, shown: str) -> None:
    """Outer spaces as dots, characters without a shape by their codes, markup as text."""
    assert str(made_visible(text)) == shown


def test_a_moment_is_exact_for_machines() -> None:
    """The browser's pointer shows it to people too."""
    assert str(moment(1_700_000_000_123)) == (
        '<time datetime="2023-11-14T22:13:20.123Z" title="2023-11-14T22:13:20.123Z">'
        "14 Nov 2023, 22:13:20 UTC</time>"
    )


def test_a_time_of_day_is_exact_to_the_millisecond() -> None:
    """For lists of what comes one after the other."""
    assert str(clock(1_700_000_000_007)) == (
        '<time datetime="2023-11-14T22:13:20.007Z" data-form="clock"'
        ' title="2023-11-14T22:13:20.007Z">22:13:20.007</time>'
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s ago"),
        (59.9, "59 s ago"),
        (60, "1 min ago"),
        (3_599, "59 min ago"),
        (3_600, "1 h ago"),
        (86_399, "23 h ago"),
        (86_400, "14 Nov 2023, 22:13:20 UTC"),
    ],
)
def test_an_age_is_told_up_to_a_day(seconds: float, words: str) -> None:
    """Then the date, which a browser that goes on counting has at hand too."""
    at_ms = 1_700_000_000_000
    told = str(ago(at_ms, at_ms + round(seconds * 1000)))
    assert told.endswith(f">{words}</time>")
    assert ' data-age data-utc="14 Nov 2023, 22:13:20 UTC"' in told


def test_figures_have_their_thousands_apart() -> None:
    """As the brief of every table wants it."""
    assert figure(1234567) == "1,234,567"


@pytest.mark.parametrize(
    ("key", "shown"),
    [("wk_", "wk_"), ("wk_demo", "wk_d…"), ("wk_website_0123456789", "wk_w…89")],
)
def test_a_masked_key_does_not_open_the_door(key: str, shown: str) -> None:
    """Enough to tell it from others."""
    assert masked(key) == shown
