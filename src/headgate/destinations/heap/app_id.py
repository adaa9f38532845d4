"""What people paste when they are asked for an App ID: the digits, or the line of Heap's own snippet.

Heap shows the number in a line such as `heap.load("1535634150");`, which is what is copied most.
https://developers.heap.io/docs/web
"""

import re

_LOAD = re.compile(r"""heap\.load\(\s*["'`]?\s*(\d+)""")


def app_id_of(text: str) -> str:
    """The App ID in what was pasted, without spaces; any other text comes back for the checks to refuse."""
    found = _LOAD.search(text)
    return found[1] if found else "".join(text.split())
