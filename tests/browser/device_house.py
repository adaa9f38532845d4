"""A website in device mode for tests: a gateway, the Heap it delivers to, and pages with its snippets."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

from pages import SETTLES_WITHIN_S, Sent, Site, until

from headgate.snippets import SNIPPETS, snippet_text
from heap_view import Heap
from processes import Gateway, eventually, free_port, run

WORKSPACE = """\
sources:
  - {{slug: current, type: website, writeKeys: [wk_current]}}
  - {{slug: classic, type: website, writeKeys: [wk_classic]}}
  - {{slug: hosted, type: website, writeKeys: [wk_hosted]}}
  - {{slug: blocked, type: website, writeKeys: [wk_blocked]}}
  - {{slug: fallback, type: website, writeKeys: [wk_fallback]}}
  - {{slug: europe, type: website, writeKeys: [wk_europe]}}
  - {{slug: old, type: website, writeKeys: [wk_old]}}
  - {{slug: cloud, type: website, writeKeys: [wk_cloud]}}
  - {{slug: moving, type: website, writeKeys: [wk_moving]}}
  - {{slug: odd, type: website, writeKeys: ["{odd_key}"]}}
destinations:
  - slug: current
    {common}
    sourceId: current
    connectionMode: device
    settings: {{appId: "1001", apiBaseUrl: "{heap}", scriptHost: "{host}"}}
  - slug: classic
    {common}
    sourceId: classic
    connectionMode: device
    settings:
      appId: "1002"
      apiBaseUrl: "{heap}"
      scriptHost: "{host}"
      heapScript: classic
      mapping: segment-classic
      secureCookie: true
      disableTextCapture: true
      ingestServer: https://heap.shop.example
  - slug: hosted
    {common}
    sourceId: hosted
    connectionMode: device
    settings: {{appId: "1003", apiBaseUrl: "{heap}", ingestServer: "https://heap.shop.example"}}
  - slug: blocked
    {common}
    sourceId: blocked
    connectionMode: device
    settings: {{appId: "1004", apiBaseUrl: "{heap}", scriptHost: "127.0.0.1:{closed}"}}
  - slug: fallback
    {common}
    sourceId: fallback
    connectionMode: device
    settings: {{appId: "1005", apiBaseUrl: "{heap}", scriptHost: "127.0.0.1:{closed}", fallbackToCloud: true}}
  - slug: europe
    {common}
    sourceId: europe
    connectionMode: device
    settings: {{appId: "1006", apiBaseUrl: "{heap}", region: EU}}
  - slug: old
    {common}
    sourceId: old
    connectionMode: device
    settings: {{appId: "1007", apiBaseUrl: "{heap}", heapScript: classic}}
  - slug: cloud
    {common}
    sourceId: cloud
    settings: {{appId: "1008", apiBaseUrl: "{heap}"}}
  - slug: moving
    {common}
    sourceId: moving
    connectionMode: device
    settings: {{appId: "1009", apiBaseUrl: "{heap}", scriptHost: "{host}"}}
  - slug: odd
    {common}
    sourceId: odd
    connectionMode: device
    settings: {{appId: "1010", apiBaseUrl: "{heap}", scriptHost: "{host}"}}
"""
ODD_KEY = "k//..?#%2Fé&<b>"
LIBRARY = {"segment_library": "analytics.js"}
BROWSER_SNIPPET = next(one for one in SNIPPETS if one.name == "browser")
CERTIFICATE = Path(__file__).with_name("localhost.pem")


class House(NamedTuple):
    """A gateway, the Heap it delivers to, and a website."""

    gateway: Gateway
    heap: Heap
    site: Site
    secure_site: Site
    config: Path
    closed_host: str

    def page(
        self, source: str, script: str, *, neutral: bool = False, options: str = "", url: str = ""
    ) -> str:
        """The address of a page with the source's snippet, `options` set, and a script behind it."""
        snippet = snippet_text(
            BROWSER_SNIPPET, url or self.gateway.url, f"wk_{source}", neutral=neutral
        )
        text = f"<!doctype html><title>Shop</title>{snippet}<script>{options}{script}</script>"
        return self.site.add(f"/{source}-{len(self.site.pages)}", text)

    def lines(self, library: str, source: str) -> str:
        """What the command prints for a library."""
        snippet = next(one for one in SNIPPETS if one.name == library)
        return snippet_text(snippet, self.gateway.url, f"wk_{source}")

    @property
    def gateway_host(self) -> str:
        return f"127.0.0.1:{self.gateway.port}"

    @property
    def heap_host(self) -> str:
        return f"127.0.0.1:{self.heap.port}"

    def path_of(self, address: str) -> str:
        return address.removeprefix(self.site.url)

    def told_by(self, address: str) -> list[dict[str, Any]]:
        """What the page at this address told Heap, in order."""
        posts = self.heap.journal(path="/recorder/*")
        bodies = [one["body"] for one in posts if one["path"].startswith("/recorder/")]
        return [one for one in bodies if one["page"].partition("?")[0] == address]

    def calls(self, address: str) -> list[tuple[Any, ...]]:
        """The calls of Heap's methods that the page has made: name, then arguments."""
        told = self.told_by(address)
        return [(one["method"], *one["args"]) for one in told if one["method"] != "loaded"]

    async def calls_by(self, address: str, count: int) -> list[tuple[Any, ...]]:
        """The same, once there are `count`."""
        await until(
            lambda: len(self.calls(address)) >= count,
            lambda: f"{count} calls; {self.calls(address)}",
        )
        return self.calls(address)

    def heap_identity_of(self, address: str) -> str | None:
        """Whom Heap takes the visitor of the page at this address for."""
        identity: str | None = ([None] + [one["identity"] for one in self.told_by(address)])[-1]
        return identity

    async def fates(self, calls: list[Sent]) -> list[str]:
        """What the server decided for each call, once it has: the reason of a discard, or the outcome."""
        return [await asyncio.to_thread(self._fate, call.body["messageId"]) for call in calls]

    def _fate(self, message_id: str) -> str:
        def decided() -> str | None:
            said = run("trace", message_id, "--json", "--data-dir", self.gateway.data_dir).stdout
            [outcome] = (
                json.loads(said)["outcomes"] if said else [{"outcome": "pending", "reason": ""}]
            )
            decision: str = outcome["reason"] or outcome["outcome"]
            return None if outcome["outcome"] == "pending" else decision

        return eventually(decided, SETTLES_WITHIN_S, message_id)

    async def arrived(self, event: str, count: int) -> list[str]:
        """The server's reasons for the track calls of this name, once there are `count` and all are decided.

        For calls that the browser does not tell of, since their page is gone.
        """

        def reasons() -> list[str]:
            words = ("--event", event, "--limit", str(count + 1), "--json")
            found = json.loads(run("find", *words, "--data-dir", self.gateway.data_dir).stdout)
            told = [one["reason"] for one in found["messages"] if one["outcome"] != "pending"]
            return told if len(told) >= count else []

        return await asyncio.to_thread(eventually, reasons, SETTLES_WITHIN_S, event)

    def heap_script(self, path: str) -> bytes:
        """Heap's script as the sandbox serves it."""
        with urlopen(self.heap.url + path, timeout=5.0) as answer:
            script: bytes = answer.read()
            return script


@contextmanager
def opened_house(directory: Path) -> Iterator[House]:
    """All of it running, with its data in this directory."""
    with Heap() as heap:
        host = heap.url.removeprefix("http://")
        closed = free_port()
        text = WORKSPACE.format(
            heap=heap.url,
            host=host,
            closed=closed,
            odd_key=ODD_KEY,
            common="name: Heap\n    metadataId: heap",
        )
        config = directory / "headgate.yaml"
        config.write_text(text)
        with (
            Gateway(directory / "data", config) as gateway,
            Site().serving() as site,
            Site(CERTIFICATE).serving() as secure_site,
        ):
            yield House(gateway, heap, site, secure_site, config, f"127.0.0.1:{closed}")
