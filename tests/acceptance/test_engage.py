"""Engage end to end: what people do makes audiences and traits, and Heap is told of every change, once.

Real processes, and windows of seconds where people have days. What Heap was told is read from its journal.
"""

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from house import WRITE_KEY, send
from segment_clients import CLIENTS
from typer.testing import CliRunner, Result

from headgate.cli import app
from headgate.spec.timestamps import parse_ms
from heap_view import Heap, rows_of
from processes import Gateway, children, command_line, eventually, run

_TOLD_WITHIN_S = 30.0
_LATE_MS = 1_000

Spec = dict[str, Any]


def audience(name: str, definition: str, *destinations: str, **keys: Any) -> Spec:
    """An audience that goes to `heap`, unless said."""
    return {
        "name": name,
        "definition": definition,
        "destinations": destinations or ["heap"],
        **keys,
    }


def trait(name: str, definition: str, **keys: Any) -> Spec:
    """A computed trait that goes to `heap`."""
    return {"name": name, "definition": definition, "destinations": ["heap"], **keys}


class Running:
    """A gateway with Engage, the Heap that it delivers to, and the file it is configured by."""

    def __init__(self, heap: Heap, directory: Path) -> None:
        self.heap = heap
        self._data_dir = directory / "data"
        self._file = directory / "headgate.yaml"
        self._gateway: Gateway | None = None

    def configure(
        self,
        *audiences: Spec,
        traits: Sequence[Spec] = (),
        apps: Sequence[str] = ("1",),
        enabled: bool = True,
        **engage: Any,
    ) -> None:
        """Makes this the workspace, at once when a gateway runs; a destination for each App ID."""
        slugs = ["heap", "second"]
        document = {
            "sources": [{"slug": "website", "writeKeys": [WRITE_KEY]}],
            "destinations": [
                {
                    "slug": slug,
                    "sourceId": "website",
                    "enabled": enabled,
                    "settings": {"appId": app, "apiBaseUrl": self.heap.url},
                }
                for slug, app in zip(slugs, apps, strict=False)
            ],
            "engage": {"audiences": audiences, "computedTraits": traits, **engage},
        }
        self._file.write_text(json.dumps(document))  # which is YAML as well
        applied = run("apply", self._file, "--data-dir", self._data_dir)
        assert applied.returncode == 0, applied.stderr
        if self._gateway is None:
            self.start()

    def start(self) -> None:
        """Starts a gateway on what there is, and waits until all of its processes work."""
        self._gateway = Gateway(self._data_dir).ready()
        warm_up = call("identify", f"warm-up-{next(_ids)}")
        send(self._gateway, warm_up)

        def is_delivering() -> bool:
            return any(row["identity"] == warm_up["userId"] for _, row in self._profile_writes())

        def is_reading() -> bool:
            said = _engage("list", "--data-dir", self._data_dir)
            return said.exit_code == 0 and json.loads(said.stdout)["behind"] == 0

        self.heap.until(is_delivering, _TOLD_WITHIN_S)
        eventually(is_reading, _TOLD_WITHIN_S, "Engage reads")

    def die(self) -> None:
        """kill -9."""
        self.gateway.kill()
        self.gateway.close()

    def stop(self) -> None:
        """As somebody stops it who means well."""
        self.gateway.signal(signal.SIGTERM)
        assert self.gateway.exits() == 0
        self.gateway.close()

    def engage_pid(self) -> int:
        """The process that computes."""
        pids = children(self.gateway.pid)
        return next(pid for pid in pids if "headgate.engage.process" in command_line(pid))

    @property
    def gateway(self) -> Gateway:
        """The one that runs."""
        assert self._gateway is not None
        return self._gateway

    def does(self, *calls: Spec) -> None:
        """Somebody makes these calls, with ids of their own."""
        send(self.gateway, *calls)

    def says(self, *words: str) -> Any:
        """What a command of Engage's prints, as JSON."""
        said = _engage(*words, "--data-dir", self._data_dir)
        assert said.exit_code == 0, said.output
        return json.loads(said.stdout)

    def failed(self) -> int:
        """How many messages have failed."""
        audited = run("audit", "--json", "--data-dir", self._data_dir)
        return int(json.loads(audited.stdout)["destinations"]["heap"]["failed"])

    def happened_ms(self, message_id: str) -> int:
        """When a message says that it happened, as every stage reads it."""
        traced = run("trace", message_id, "--json", "--data-dir", self._data_dir)
        at_ms = parse_ms(json.loads(traced.stdout)["arrival"]["message"]["timestamp"])
        assert at_ms is not None
        return at_ms

    def told(self, user: str, key: str, app: str = "1") -> list[Any]:
        """What Heap was told of a user's property, in order, each telling once."""
        return [value for _, value in self.tellings(user, key, app)]

    def tellings(self, user: str, key: str, app: str = "1") -> list[tuple[int, Any]]:
        """The same with the instants at which Heap was told."""
        return [
            (parse_ms(request["at"]) or 0, row["properties"][key])
            for request, row in self._profile_writes()
            if request["body"]["app_id"] == app
            and row["identity"] == user
            and key in row["properties"]
        ]

    def _profile_writes(self) -> Iterator[tuple[Spec, Spec]]:
        """Every user of every request about users, with the request."""
        for request in self.heap.journal(path="/api/add_user_properties"):
            for row in rows_of(request):
                yield request, row

    def until_told(self, user: str, key: str, *values: Any, app: str = "1") -> None:
        """Waits until Heap was told exactly this; as JSON, where 1 is not true."""
        wanted = [json.dumps(value) for value in values]

        def is_told() -> bool:
            return [json.dumps(value) for value in self.told(user, key, app)] == wanted

        self.heap.until(is_told, _TOLD_WITHIN_S)

    def until_settled(self) -> None:
        """Waits until Engage has read everything, and everything that it says is with Heap."""

        def is_settled() -> bool:
            found = self.says("list")
            waits = [one["waiting"] + one["pending"] for one in found["destinations"]]
            states = {one["state"] for one in found["computations"]}
            is_busy = found["behind"] or found["sweepPercent"] is not None
            return not (is_busy or any(waits) or "preparing" in states)

        eventually(is_settled, _TOLD_WITHIN_S, "settled")

    def close(self) -> None:
        """Ends what runs."""
        if self._gateway is not None:
            self._gateway.close()


@pytest.fixture
def running(heap: Heap, tmp_path: Path) -> Iterator[Running]:
    """Ready to be configured, which starts it."""
    one = Running(heap, tmp_path)
    yield one
    one.close()


def _engage(*words: str | Path) -> Result:
    """A command in this process, which is quicker to ask again and again."""
    return CliRunner().invoke(app, ["engage", *map(str, words), "--json"])


_ids = iter(range(10**9))


def call(call_type: str, user: str = "", anonymous: str = "", **fields: Any) -> Spec:
    """A call by somebody."""
    who = {name: value for name, value in (("userId", user), ("anonymousId", anonymous)) if value}
    return {"type": call_type, "messageId": f"call-{next(_ids)}", **who, **fields}


def ordered(user: str = "", anonymous: str = "", **properties: Any) -> Spec:
    """An order."""
    return call("track", user, anonymous, event="Order Completed", properties=properties)


def by_a_library(running: Running, user: str, *calls: Spec) -> list[str]:
    """Lets Segment's own library for Python make these calls; their messageIds."""
    plan = {
        "module": "segment.analytics.client",
        "url": running.gateway.url,
        "writeKey": WRITE_KEY,
        "userId": user,
        "gzip": False,
        "calls": list(calls),
    }
    driver = subprocess.run(
        CLIENTS[0].command,
        input=json.dumps(plan),
        text=True,
        check=True,
        timeout=40,
        stdout=subprocess.PIPE,
    )
    return [message["messageId"] for message in json.loads(driver.stdout)]


_LATELY = "event('Order Completed').within({}).count() >= 1"
_BOUGHT = "event('Order Completed').count() >= 1"
_KEY = "order_completed_last_30days"
_NAME = "Order completed last 30days"


def test_an_order_makes_a_member_and_time_alone_ends_it(running: Running) -> None:
    """True as a JSON boolean; false within a second of its instant, without any traffic, and once."""
    running.configure(audience(_NAME, _LATELY.format("4 seconds")))
    (order,) = by_a_library(running, "zoe", {"call": "track", "event": "Order Completed"})
    running.until_told("zoe", _KEY, True, False)
    (_, (at_ms, _)) = running.tellings("zoe", _KEY)
    over_ms = running.happened_ms(order) + 4_000
    assert over_ms <= at_ms < over_ms + _LATE_MS
    running.does(ordered("another"))
    running.until_told("another", _KEY, True, False)
    assert running.told("zoe", _KEY) == [True, False]


def test_another_order_keeps_the_member_and_says_nothing(running: Running) -> None:
    """The window moves; Heap is told when it has passed after the last one."""
    running.configure(
        audience("A", _LATELY.format("4 seconds")),
        traits=[trait("N", "event('Order Completed').count()")],
    )
    running.does(ordered("ann"))
    running.until_told("ann", "a", True)
    last = ordered("ann")
    running.does(last)
    running.until_told("ann", "a", True, False)
    (_, (at_ms, _)) = running.tellings("ann", "a")
    assert at_ms >= running.happened_ms(last["messageId"]) + 4_000
    assert running.told("ann", "n") == [1, 2]


def test_what_was_done_before_the_login_counts_at_the_login(running: Running) -> None:
    """An anonymous order cannot be told of; the identify that names the user makes it one true."""
    running.configure(audience("A", _BOUGHT, includeAnonymous=True))
    running.does(ordered(anonymous="anon-1"))
    eventually(
        lambda: running.says("list")["computations"][0]["undeliverable"] == 1, _TOLD_WITHIN_S
    )
    running.does(call("identify", "bob", "anon-1", traits={"email": "bob@example.com"}))
    running.until_told("bob", "a", True)
    assert running.says("list")["computations"][0]["undeliverable"] == 0
    assert running.heap.user("bob")["properties"]["email"] == "bob@example.com"


def test_two_people_who_turn_out_to_be_one_are_one_member(running: Running) -> None:
    """The profiles merge: what both have done counts together, and it is told once."""
    running.configure(audience("A", "event('Order Completed').count() >= 2"))
    running.does(call("identify", "cem", "phone"), ordered("cem"), ordered(anonymous="laptop"))
    running.until_settled()
    assert running.told("cem", "a") == []
    running.does(call("identify", "cem", "laptop"))
    running.until_told("cem", "a", True)
    assert running.says("members", "a")["size"] == 1


def test_each_destination_is_told_for_itself(running: Running) -> None:
    """One that refuses keeps nobody else waiting, and is told when it takes messages again."""
    running.configure(audience("A", _BOUGHT, "heap", "second"), apps=("1", "2"))
    refusal = {"match": {"path": "/api/*", "app_id": "2"}, "answer": {"status": 503}}
    running.heap.play(refusal)
    running.does(ordered("dee"))
    running.until_told("dee", "a", True)
    running.heap.play()
    running.heap.until(lambda: _last(running.told("dee", "a", "2")) is True)
    assert running.told("dee", "a") == [True]


def test_what_heap_refused_is_told_again_when_something_happens(running: Running) -> None:
    """A member whom Heap never heard of is not taken for told, and nobody hears false who never heard true."""
    running.configure(audience("A", _BOUGHT), audience("B", _LATELY.format("4 seconds")))
    running.heap.play({"match": {"path": "/api/*"}, "answer": {"status": 400}})
    first, second = ordered("dan"), ordered("eli")
    running.does(first, second)
    eventually(lambda: running.failed() == 6, _TOLD_WITHIN_S, "two orders and what they made")
    running.heap.play()
    running.heap.until(lambda: "a" in running.heap.user("eli")["properties"])  # as B's time is over
    assert running.heap.user("eli")["properties"] == {"a": True}
    running.does(ordered("dan"))
    running.heap.until(lambda: running.heap.user("dan")["properties"].get("b") is False)
    assert running.heap.user("dan")["properties"]["a"] is True
    assert _last(running.told("dan", "b")[:-1]) is True


def test_what_was_on_its_way_when_a_destination_was_disabled_is_made_up_for(
    running: Running,
) -> None:
    """Discarded then, told once it is enabled again, and only where nothing had arrived."""
    there = audience("A", _BOUGHT)
    running.configure(there)
    running.does(ordered("flo"))
    running.until_told("flo", "a", True)
    running.heap.play({"match": {"path": "/api/*"}, "answer": {"status": 503}})
    running.does(ordered("gil"))
    eventually(lambda: running.says("list")["destinations"][0]["pending"], _TOLD_WITHIN_S)
    running.configure(there, enabled=False)
    running.until_settled()
    running.heap.play()
    running.configure(there)
    running.heap.until(lambda: running.heap.user("gil")["properties"].get("a") is True)
    assert running.told("flo", "a") == [True]


def test_a_restart_neither_loses_nor_repeats_a_change(running: Running) -> None:
    """kill -9 while somebody is a member: the next server tells the end of it."""
    running.configure(audience("A", _LATELY.format("5 seconds")), audience("B", _BOUGHT))
    running.does(ordered("eve"))
    running.until_told("eve", "a", True)
    running.die()
    running.start()
    running.until_told("eve", "a", True, False)
    running.until_settled()
    assert running.told("eve", "b") == [True]


def test_an_engage_process_that_dies_is_started_again(running: Running) -> None:
    """What came meanwhile is told all the same."""
    running.configure(audience("A", _BOUGHT))
    running.does(ordered("fay"))
    running.until_told("fay", "a", True)
    os.kill(running.engage_pid(), signal.SIGKILL)
    running.does(ordered("gus"))
    running.until_told("gus", "a", True)
    running.until_settled()
    assert running.told("fay", "a") == [True]


def test_audiences_and_traits_are_read_by_others(running: Running) -> None:
    """An audience in an audience, a computed trait in a condition; values go out as JSON numbers."""
    running.configure(
        audience("Buyers", _BOUGHT),
        audience("Big", "trait('buyers') = true AND trait('spent') >= 100"),
        traits=[trait("Spent", "event('Order Completed').sum(property('total'))")],
    )
    running.does(ordered("hal", total=60))
    running.until_told("hal", "spent", 60)
    running.until_told("hal", "buyers", True)
    running.does(ordered("hal", total=40.5))
    running.until_told("hal", "spent", 60, 100.5)
    running.until_told("hal", "big", True)
    assert running.told("hal", "buyers") == [True]


def test_an_edited_definition_tells_only_the_differences(running: Running) -> None:
    """Who stays hears nothing; who leaves is told false, who comes true."""
    running.configure(audience("A", "event('Order Completed').count() >= 2"))
    running.does(ordered("two"), ordered("two"), ordered("three"), ordered("three"))
    running.does(ordered("three"), ordered("one"))
    running.until_told("two", "a", True)
    running.until_told("three", "a", True)
    running.configure(audience("A", "event('Order Completed').count() != 2"))
    running.until_told("two", "a", True, False)
    running.until_told("one", "a", True)
    running.until_settled()
    assert running.told("three", "a") == [True]


def test_an_audience_that_comes_later_knows_what_was_before(running: Running) -> None:
    """History is read for it, unless it is not to count."""
    running.configure(audience("First", _BOUGHT))
    running.does(ordered("ida"))
    running.until_told("ida", "first", True)
    running.configure(
        audience("First", _BOUGHT),
        audience("With", _BOUGHT),
        audience("Without", _BOUGHT, includeHistory=False),
    )
    running.until_told("ida", "with", True)
    running.until_settled()
    assert running.told("ida", "without") == []
    running.does(ordered("ida"))
    running.until_told("ida", "without", True)
    assert running.told("ida", "with") == [True]


def test_a_definition_that_nobody_fulfils_tells_all_members_false(running: Running) -> None:
    """The way to have a property taken back before its audience is removed."""
    running.configure(audience("A", _BOUGHT))
    running.does(ordered("ira"))
    running.until_told("ira", "a", True)
    running.configure(audience("A", "event('Order Completed').count() < 0"))
    running.until_told("ira", "a", True, False)
    running.configure(audience("B", _BOUGHT))
    running.until_told("ira", "b", True)
    assert [one["key"] for one in running.says("list")["computations"]] == ["b"]
    assert running.told("ira", "a") == [True, False]


def test_the_second_opinion_agrees_beside_a_running_server(running: Running) -> None:
    """Windows, merges, traits and an audience that came later, all computed anew from history."""
    lately = audience("Lately", _LATELY.format("1 hour"), includeAnonymous=True)
    spent = trait("Spent", "event('Order Completed').sum(property('total'))")
    running.configure(lately, traits=[spent])
    running.does(*(ordered(f"u-{n % 7}", total=n + 0.1) for n in range(40)))
    running.does(ordered(anonymous="anon-1"), call("identify", "u-1", "anon-1"))
    running.until_settled()
    big = audience("Big", "trait('lately') = true AND trait('spent') > 130")
    running.configure(lately, big, traits=[spent])
    running.until_settled()
    running.does(ordered("u-2", total=1000), ordered("u-new", total=7))
    running.until_settled()
    found = running.says("verify")
    assert (found["differences"], found["computations"], found["profiles"]) == ([], 3, 9)
    assert running.says("preview", "trait('big') = true")["having"] > 0


def test_a_disabled_audience_says_nothing_until_it_is_enabled(running: Running) -> None:
    """Then the gap is made up for, by the difference alone."""
    running.configure(audience("A", _BOUGHT), audience("B", _BOUGHT))
    running.does(ordered("jon"))
    running.until_told("jon", "a", True)
    running.configure(audience("A", _BOUGHT, enabled=False), audience("B", _BOUGHT))
    running.does(ordered("kim"))
    running.until_told("kim", "b", True)
    running.until_settled()
    assert running.told("kim", "a") == []
    running.configure(audience("A", _BOUGHT), audience("B", _BOUGHT))
    running.until_told("kim", "a", True)
    running.until_settled()
    assert running.told("jon", "a") == [True]


def test_a_removed_audience_says_nothing_any_more(running: Running) -> None:
    """Heap keeps what it was told; the key cannot come back for something else."""
    running.configure(audience("A", _BOUGHT), audience("B", _BOUGHT))
    running.does(ordered("lou"))
    running.until_told("lou", "a", True)
    running.configure(audience("B", _BOUGHT))
    running.does(ordered("mia"))
    running.until_told("mia", "b", True)
    running.until_settled()
    assert (running.told("lou", "a"), running.told("mia", "a")) == ([True], [])
    assert [one["key"] for one in running.says("list")["computations"]] == ["b"]


def test_an_interval_between_syncs_gathers_what_happens(running: Running) -> None:
    """Changes are told at the next full interval, and as they are then: not every step on the way."""
    running.configure(traits=[trait("N", "event('Order Completed').count()")], syncInterval=2)
    running.does(*(ordered("ned") for _ in range(5)))
    running.until_told("ned", "n", 5)
    (told,) = running.says("explain", "n", "ned")["told"]
    at_ms = parse_ms(told["at"])
    assert at_ms is not None
    assert at_ms % 2_000 < _LATE_MS


def test_a_resync_tells_members_again_and_nobody_else(running: Running) -> None:
    """Whatever Heap was told before."""
    running.configure(audience("A", _LATELY.format("1 hour")))
    running.does(ordered("oda"), call("identify", "pam"))
    running.until_told("oda", "a", True)
    asked = running.says("resync", "a")
    assert (asked["members"], asked["server"]) == (1, "taken")
    running.until_told("oda", "a", True, True)
    running.until_settled()
    assert running.told("pam", "a") == []


def test_a_stopped_server_leaves_everything_to_be_asked(running: Running) -> None:
    """The commands work on what it has left."""
    running.configure(audience("A", _BOUGHT))
    running.does(ordered("quy"))
    running.until_told("quy", "a", True)
    running.until_settled()
    running.stop()
    why = running.says("explain", "a", "quy")
    assert (why["value"], why["told"][0]["outcome"], why["told"][0]["status"]) == (
        *(True, "delivered", 200),
    )
    assert running.says("resync", "a")["server"] == "stopped"
    running.start()
    running.until_told("quy", "a", True, True)


def _last(values: list[Any]) -> Any:
    return values[-1] if values else None
