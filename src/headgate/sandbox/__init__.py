"""A local Heap: Heap's endpoints with Heap's documented rules, a journal, and faults on request."""
