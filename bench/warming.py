"""Before anything is timed that needs the worker: some messages are delivered, so that it is there."""

from bench import messages
from bench.gateway import Gateway
from bench.heap import Heap
from bench.processes import load
from bench.programs.load import Plan

_MESSAGES = 200
_CONNECTIONS = 4
_WITHIN_S = 20


def warm_up(gateway: Gateway, heap: Heap) -> int:
    """Returns once they are acknowledged; how many rows Heap has counted by then."""
    target = gateway.target("/v1/track", messages.templates(messages.tracks(_MESSAGES)))
    load(Plan(target=target, connections=_CONNECTIONS, requests=_MESSAGES))
    return heap.acknowledged(_MESSAGES, _WITHIN_S).rows
