"""What is measured, in order. A room yields its figures as they are taken."""

from collections.abc import Callable, Iterator
from pathlib import Path

from bench import delivery, device, disk, door, engage, latency, log, mapping, rest, start
from bench.figure import Figure
from bench.scale import Scale

Room = Callable[[Scale, Path], Iterator[Figure]]

ROOMS: dict[str, Room] = {
    "single posts": door.single_posts,
    "batches": door.batches,
    "the log alone": log.figures,
    "the mapping": mapping.figures,
    "delivery": delivery.figures,
    "latency": latency.live,
    "a destination in trouble": latency.beside_trouble,
    "a server at rest": rest.figures,
    "starts": start.figures,
    "disk": disk.figures,
    "device mode": device.figures,
    "Engage": engage.figures,
}
