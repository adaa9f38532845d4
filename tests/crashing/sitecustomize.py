"""Loaded by every Python process that has this directory on its PYTHONPATH, before its own code."""

import os

if "CRASHING" in os.environ:
    from crashing.hook import enter

    enter(os.environ["CRASHING"])
