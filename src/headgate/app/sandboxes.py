"""Which sandbox plays Heap on this machine, if one does: one that a destination points at, or one on the usual port."""

from collections.abc import Iterable
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from headgate.workspace.model import Workspace

USUAL_URL = "http://127.0.0.1:9091"
_LOCAL = ("127.0.0.1", "::1", "localhost")
_SAYS = b"Headgate's sandbox"
_ANSWERS_WITHIN_S = 0.3


def reachable(workspace: Workspace) -> str:
    """The address of a sandbox that runs; "" when none does."""
    return next((url for url in _candidates(workspace) if is_sandbox(url)), "")


def is_sandbox(url: str) -> bool:
    """Whether a sandbox of ours answers at an address of this machine."""
    address = urlsplit(url)
    if address.scheme != "http" or address.hostname not in _LOCAL:
        return False
    line = HTTPConnection(address.hostname, address.port or 80, timeout=_ANSWERS_WITHIN_S)
    try:
        line.request("GET", "/")
        return line.getresponse().read(len(_SAYS)) == _SAYS
    except (OSError, HTTPException):
        return False
    finally:
        line.close()


def _candidates(workspace: Workspace) -> Iterable[str]:
    pointed_at = [one.settings.get("apiBaseUrl") for one in workspace.destinations]
    return dict.fromkeys([*(url.rstrip("/") for url in pointed_at if url), USUAL_URL])
