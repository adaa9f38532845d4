"""Benchmarks: `make bench` prints one table of figures, each beside a yardstick of the same minute.

`goals.py` says what is wanted, `scale.py` how long and how large everything is, `rooms.py` what is measured in
which order; each room is a module. What is measured runs in processes of its own (`programs/`), on cores
of its own (`processes.py`).
"""
