"""What every stage recorded, read back: trace, find, audit, status, dead letters, and replays as they are planned.

Works beside a server and on a copy. Reads only, but for the one file that asks for a replay (`replays.py`).
"""
