"""Headgate: the self-hosted gateway from the Segment Spec to Heap."""

__version__ = "0.1.0"
