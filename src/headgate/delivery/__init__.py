"""From the event log to the destinations: routing, batching, attempts, retry, outcomes."""
