"""Which sandbox the connect page offers: one that says so, on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from factories import workspace
from headgate.app.sandboxes import is_sandbox, reachable
from headgate.workspace.model import Destination


@contextmanager
def saying(words: str, host: str = "127.0.0.1") -> Iterator[str]:
    """The address of something that answers with these words."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(words)))
            self.end_headers()
            self.wfile.write(words.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_sandbox_is_known_by_what_it_says() -> None:
    """Anything else that answers there is none, and nothing at all is none either."""
    with saying("Headgate's sandbox: a local Heap.") as url:
        assert is_sandbox(url)
    assert not is_sandbox(url)
    with saying("It works!") as other:
        assert not is_sandbox(other)


@pytest.mark.parametrize("url", ["https://127.0.0.1:1", "ftp://127.0.0.1", "127.0.0.1:9091", ""])
def test_what_is_no_address_of_a_sandbox_is_not_asked(url: str) -> None:
    """It speaks plain http."""
    assert not is_sandbox(url)


def test_only_this_machine_is_asked() -> None:
    """An address in the settings may lead anywhere."""
    with saying("Headgate's sandbox", "127.0.0.2") as url:
        assert not is_sandbox(url)


def test_a_sandbox_that_a_destination_points_at_is_found() -> None:
    """Wherever it listens; one that has ended is passed over."""
    with saying("Headgate's sandbox") as url:
        pointing = [
            Destination(slug, slug, "heap", "website", True, "cloud", {"apiBaseUrl": address})
            for slug, address in (
                ("none", None),
                ("gone", "http://127.0.0.1:9"),
                ("here", f"{url}/"),
            )
        ]
        assert reachable(workspace(destinations=pointing)) == url
