"""The workspace through the real commands: apply, export, and what `serve --config` does at a start."""

import os
import signal
import socket
from contextlib import closing
from pathlib import Path

import pytest
from house import send, track, workspace_yaml

from headgate.clock import SystemClock
from headgate.destinations.catalog import CATALOG
from headgate.workspace.file import parse
from headgate.workspace.sqlite_store import SqliteWorkspaceStore
from heap_view import Heap
from processes import Gateway, free_port, run

_VARIABLE = {"HEAP_APP": "1535634151"}
_REFUSE_ALL = {"match": {"path": "/api/*"}, "answer": {"status": 503}}


def test_an_applied_key_is_used_at_once(gateway: Gateway, heap: Heap, config: Path) -> None:
    """When `apply` has exited, the next post under the new key arrives, and one under the old does not."""
    config.write_text(workspace_yaml(heap, "wk_new"))
    applied = run("apply", config, "--data-dir", gateway.data_dir)
    assert applied.returncode == 0, applied.stderr
    assert "wk_new" in applied.stdout
    send(gateway, track("u", "under the old key"))
    send(gateway, track("u", "under the new key"), key="wk_new")
    heap.until(lambda: heap.event_names("u"))
    assert heap.event_names("u") == ["under the new key"]


def test_a_disabled_destination_gets_nothing(gateway: Gateway, heap: Heap, config: Path) -> None:
    """Delivery stops with the command and goes on with the next, without what came in between."""
    for event, enabled in [("before", True), ("meanwhile", False), ("after", True)]:
        config.write_text(workspace_yaml(heap, enabled=enabled))
        assert run("apply", config, "--data-dir", gateway.data_dir).returncode == 0
        send(gateway, track("u", event))
        if enabled:
            heap.until(lambda: event in heap.event_names("u"))  # noqa: B023
    assert heap.event_names("u") == ["before", "after"]


def test_a_file_is_applied_only_when_it_differs_from_the_last(
    heap: Heap, config: Path, tmp_path: Path
) -> None:
    """A start with the file of the start before keeps what was applied since; a changed file is used."""
    data_dir = tmp_path / "data"
    other = tmp_path / "other.yaml"
    other.write_text(workspace_yaml(heap, "wk_other"))
    with Gateway(data_dir, config) as first:
        assert run("apply", other, "--data-dir", data_dir).returncode == 0
        _stop(first)
    with Gateway(data_dir, config) as second:
        send(second, track("u", "by apply"), key="wk_other")
        heap.until(lambda: heap.event_names("u") == ["by apply"])
        _stop(second)
    config.write_text(workspace_yaml(heap, "wk_third"))
    with Gateway(data_dir, config) as third:
        send(third, track("u", "ignored"), key="wk_other")
        send(third, track("u", "by serve"), key="wk_third")
        heap.until(lambda: heap.event_names("u") == ["by apply", "by serve"])


def test_a_workspace_that_was_stored_before_the_start_is_used(
    heap: Heap, config: Path, tmp_path: Path
) -> None:
    """Without a server `apply` stores, and `serve` without a file finds it."""
    applied = run("apply", config, "--data-dir", tmp_path / "data")
    assert applied.returncode == 0
    with Gateway(tmp_path / "data") as gateway:
        send(gateway, track("u", "first"))
        heap.until(lambda: heap.event_names("u") == ["first"])


def test_the_data_directory_is_private(gateway: Gateway) -> None:
    """Nobody else on the machine can read what people do."""
    assert gateway.data_dir.stat().st_mode & 0o777 == 0o700


def test_what_is_exported_can_be_applied_again(gateway: Gateway, tmp_path: Path) -> None:
    """The way out and the way in are one: nothing changes."""
    file = tmp_path / "exported.yaml"
    file.write_text(_export(gateway.data_dir))
    applied = run("apply", file, "--data-dir", gateway.data_dir)
    assert (applied.returncode, applied.stdout) == (0, "nothing changed\n"), applied.stderr
    assert _export(gateway.data_dir) == file.read_text()


@pytest.mark.parametrize(
    ("broken", "found"),
    [
        pytest.param("sources: [{slug: website, name: W, typ: server}]\n", "typ", id="unknown-key"),
        pytest.param("sources: website\n", "sources", id="wrong-type"),
        pytest.param("sources: [\n", "YAML", id="not-yaml"),
    ],
)
def test_a_file_that_is_wrong_changes_nothing(
    gateway: Gateway, config: Path, broken: str, found: str
) -> None:
    """The command says where and what, and the server goes on with what it has."""
    before = _export(gateway.data_dir)
    config.write_text(broken)
    refused = run("apply", config, "--data-dir", gateway.data_dir)
    assert refused.returncode == 1
    assert found in refused.stderr
    assert f"{config.name}:" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert _export(gateway.data_dir) == before


def test_serve_refuses_a_wrong_file(config: Path, tmp_path: Path) -> None:
    """Nothing is started on a guess."""
    config.write_text("sources: website\n")
    refused = run("serve", "--config", config, "--data-dir", tmp_path / "data", "--port", "0")
    assert refused.returncode == 1
    assert "headgate.yaml:1" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_what_the_running_server_cannot_use_is_not_stored(
    gateway: Gateway, heap: Heap, config: Path
) -> None:
    """Applied with a variable that the server lacks: the command names it, and it is as if nobody had tried.

    What is pending stays pending through a kill of the worker, a stop, and a way back by `apply`.
    """
    as_it_was = config.read_text()
    before = _export(gateway.data_dir)
    heap.play(_REFUSE_ALL)
    send(gateway, track("u", "pending"))
    heap.until(heap.journal)
    config.write_text(_elsewhere(heap))
    refused = run("apply", config, "--data-dir", gateway.data_dir, HEAP_APP=_VARIABLE["HEAP_APP"])
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "environment variable HEAP_APP, found it not set" in refused.stderr
    assert "nothing was changed" in refused.stderr
    assert _export(gateway.data_dir) == before
    config.write_text(as_it_was)
    undone = run("apply", config, "--data-dir", gateway.data_dir)
    assert (undone.returncode, undone.stdout) == (0, "nothing changed\n"), undone.stderr

    killed = gateway.worker()
    os.kill(killed, signal.SIGKILL)
    gateway.worker(other_than=killed)
    heap.play()
    heap.until(lambda: heap.event_names("u") == ["pending"])
    _stop(gateway)
    with Gateway(gateway.data_dir) as following:
        send(following, track("u", "after"))
        heap.until(lambda: heap.event_names("u") == ["pending", "after"])


def test_a_worker_goes_on_with_the_newest_workspace_that_fits(gateway: Gateway, heap: Heap) -> None:
    """Stored past the server: a worker that starts on it says so, once, and delivers what it has and gets."""
    heap.play(_REFUSE_ALL)
    send(gateway, track("u", "pending"))
    heap.until(heap.journal)
    _store(gateway.data_dir, _elsewhere(heap))
    os.kill(gateway.worker(), signal.SIGKILL)
    gateway.says("HEAP_APP")
    gateway.says("delivery goes on with version 1")
    heap.play()
    send(gateway, track("u", "after"))
    heap.until(lambda: heap.event_names("u") == ["pending", "after"])
    assert (
        gateway.err.count("starting it again") == gateway.err.count("goes on with version 1") == 1
    )


def test_serve_refuses_a_workspace_that_lacks_a_variable(heap: Heap, tmp_path: Path) -> None:
    """Exit status 1, and the words name it."""
    (tmp_path / "data").mkdir()
    _store(tmp_path / "data", _elsewhere(heap))
    refused = run("serve", "--data-dir", tmp_path / "data", *_free_ports())
    assert refused.returncode == 1
    assert "environment variable HEAP_APP, found it not set" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("option", ["--port", "--app-port"])
def test_a_start_that_finds_its_port_taken_applies_nothing(
    heap: Heap, config: Path, tmp_path: Path, option: str
) -> None:
    """The stored workspace stands, and the file is applied by the start that finds its ports free."""
    data_dir = tmp_path / "data"
    assert run("apply", config, "--data-dir", data_dir).returncode == 0
    before = _export(data_dir)
    config.write_text(workspace_yaml(heap, "wk_next"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = [*_free_ports(), option, str(taken.getsockname()[1])]
        refused = run("serve", "--config", config, "--data-dir", data_dir, *ports)
    assert refused.returncode == 1
    assert "Address already in use" in refused.stderr
    assert _export(data_dir) == before
    with Gateway(data_dir, config):
        assert "wk_next" in _export(data_dir)


def _elsewhere(heap: Heap) -> str:
    """A workspace whose only destination is another one, and needs a variable."""
    text = workspace_yaml(heap).replace("slug: heap", "slug: heap-elsewhere")
    return text.replace("1535634150", "${HEAP_APP}")


def _store(data_dir: Path, text: str) -> None:
    """Commits a workspace that fits the environment of whoever stores it, past any server."""
    settings = {name: kind.settings for name, kind in CATALOG.items()}
    document = parse(text, catalog=settings, environment=_VARIABLE)
    with closing(SqliteWorkspaceStore(data_dir / "workspace.db", SystemClock())) as store:
        store.commit(document, actor="a test")


def _free_ports() -> list[str]:
    return ["--port", str(free_port()), "--app-port", str(free_port())]


def _export(data_dir: Path) -> str:
    exported = run("export", "--data-dir", data_dir)
    assert exported.returncode == 0, exported.stderr
    return exported.stdout


def _stop(gateway: Gateway) -> None:
    gateway.signal(signal.SIGTERM)
    assert gateway.exits() == 0
