"""How a child process is made to die at a chosen point of its work. The product knows nothing of it.

A test puts this directory and its parent on a child's PYTHONPATH and an address under CRASHING. Python
then loads `sitecustomize.py` in that child and in every Python process below it; `hook.py` asks at the
address for an order and prepares the death; `points.py` is the table of the places to die at.
"""
