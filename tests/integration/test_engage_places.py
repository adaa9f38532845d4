"""A destination that comes to stand elsewhere: the Heap there knows nobody, and is told of everybody."""

from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from data_dirs import destination
from engage_dirs import EngageDir, audience
from headgate.eventlog.sqlite import sqlite_reader
from headgate.spec.names import engage_source

BUYERS = "event('Bought').count() >= 1"


def configure(data_dir: EngageDir, **settings: Any) -> None:
    """Two destinations; these are the settings of the first."""
    data_dir.configure(
        audience("Buyers", BUYERS, "heap", "second"),
        destinations=[
            destination(settings={"appId": "1", **settings}),
            destination("second", settings={"appId": "9"}),
        ],
    )


def told(data_dir: EngageDir) -> list[tuple[str, str, Any]]:
    """(destination, user, value) of everything that Engage has said."""
    slugs = {engage_source(slug): slug for slug in ("heap", "second")}
    with closing(sqlite_reader(data_dir.path / "log")) as log:
        entries = [entry for block in log.blocks(0) for entry in block.entries()]
    said = [
        (slugs[one.envelope.source], msgspec.json.decode(one.raw))
        for one in entries
        if one.envelope.source in slugs
    ]
    return [(slug, one["userId"], one["traits"]["buyers"]) for slug, one in said]


def test_another_app_id_is_told_of_every_member(tmp_path: Path) -> None:
    """At once, without anything that happens; nobody else is told again, and no other destination."""
    data_dir = EngageDir(tmp_path / "data")
    configure(data_dir)
    data_dir.track("Bought", "m1")
    data_dir.track("Seen", "m2", userId="bob")
    data_dir.compute()
    assert sorted(told(data_dir)) == [("heap", "ann", True), ("second", "ann", True)]
    data_dir.clock.advance(1)
    for n, settings in enumerate(({"appId": "2"}, {"appId": "2", "region": "EU"}), start=1):
        configure(data_dir, **settings)
        data_dir.compute()
        assert told(data_dir)[2:] == [("heap", "ann", True)] * n
        data_dir.clock.advance(1)
    configure(data_dir, appId="2", region="EU", retryWindow="3 hours")
    data_dir.compute()
    assert len(told(data_dir)) == 4
