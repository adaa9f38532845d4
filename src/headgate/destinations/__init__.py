"""The catalog of destinations. A new destination is a new folder here and a line in `catalog.py`."""
