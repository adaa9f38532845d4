"""What computed traits and audiences come to: incremental, and exact at every instant.

A message goes through `Program.take`, which adds it to what is kept of its profile (`leaves/`, `traits.py`)
and tells which computations it may change; `Program.evaluate` gives their values, and until when these hold
without another message. Pure: the profile comes in as an argument, and so does the time.
"""
