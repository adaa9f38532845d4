"""The demo's other process, `python -m headgate.shop PORT FD GATEWAY_URL`: a sandbox and the shop.

Announces what Heap receives, says `ready` on the socket FD once it listens, and ends when the other
side of that socket does, so that a killed demo leaves nothing behind.
"""

import asyncio
import signal
import socket
import sys

import uvloop

from headgate.clock import SystemClock
from headgate.sandbox.announce import Announcer
from headgate.sandbox.app import create_app
from headgate.sandbox.heap import Sandbox
from headgate.sandbox.options import Options
from headgate.sandbox.server import serving_app
from headgate.shop import with_shop


async def _accompany(port: int, owner: socket.socket, gateway_url: str) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    sandbox = Sandbox(Options(), SystemClock(), on_verdict=Announcer())
    async with serving_app(with_shop(create_app(sandbox), gateway_url), port=port):
        owner.sendall(b"ready\n")
        loop.add_reader(owner, over.set)
        await over.wait()
        loop.remove_reader(owner)


if __name__ == "__main__":
    uvloop.run(_accompany(int(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])), sys.argv[3]))
