"""The Heap destination: its settings, the mapping from the Segment Spec, and Heap's bulk requests."""
