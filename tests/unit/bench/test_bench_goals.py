"""What a figure has to reach, and how the table and the JSON say whether it does."""

import json

import pytest
from bench.figure import Figure
from bench.goals import Goal
from bench.table import print_json, print_table

RATE = Goal(at_least=100, aim=200, shown="{:,.0f}/s")
DELAY = Goal(at_least=30, aim=10, shown="{:.0f} ms", smaller_is_better=True)
AIM_ALONE = Goal(aim=0.5, shown="{:.2f}")


@pytest.mark.parametrize(
    ("goal", "measured", "said"),
    [
        (RATE, 99, "MISSED"),
        (RATE, 100, "at least"),
        (RATE, 200, "aim"),
        (DELAY, 31, "MISSED"),
        (DELAY, 30, "at least"),
        (DELAY, 10, "aim"),
        (AIM_ALONE, 0.4, ""),
        (AIM_ALONE, 0.5, "aim"),
    ],
)
def test_the_table_says_what_a_figure_reaches(
    goal: Goal, measured: float, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bounds are reached when they are met exactly; where only an aim is set, nothing is missed."""
    figure = Figure(what="a figure", value="so much", measured=measured, goal=goal)
    print_table([figure], load_before=0.0, took_s=1.0)
    row = next(line for line in capsys.readouterr().out.splitlines() if "so much" in line)
    assert row.split("│")[-2].strip() == said


def test_a_figure_that_could_not_be_taken_reaches_and_misses_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its bounds are shown all the same."""
    print_table([Figure(what="a figure", value="", goal=RATE)], load_before=0.0, took_s=1.0)
    row = next(line for line in capsys.readouterr().out.splitlines() if "a figure" in line)
    assert [cell.strip() for cell in row.split("│")[-4:-1]] == ["100/s", "200/s", ""]


def test_json_has_the_numbers_and_the_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    """What programs compare runs by."""
    figure = Figure(what="a figure", value="90/s", measured=90, ratio=0.9, goal=RATE)
    print_json([figure], load_before=1.5, took_s=2.0)
    told = json.loads(capsys.readouterr().out)
    assert told["load_before"] == 1.5
    (row,) = told["figures"]
    assert (row["measured"], row["ratio"]) == (90, 0.9)
    assert (row["at_least"], row["aim"], row["reached"]) == (100, 200, False)
