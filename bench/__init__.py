"""Benchmarks: `make bench` prints one table of figures, each beside a yardstick of the same minute."""
