"""The catalog: every kind of destination there is, by the `metadataId` that headgate.yaml names.

A new destination is a new folder beside this file and one more entry in the list below.
"""

from headgate.destinations.heap.destination import HEAP
from headgate.destinations.interface import Destination

_DESTINATIONS: tuple[Destination, ...] = (HEAP,)

CATALOG: dict[str, Destination] = {
    destination.metadata_id: destination for destination in _DESTINATIONS
}
