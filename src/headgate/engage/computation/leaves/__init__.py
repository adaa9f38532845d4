"""Leaves: what is kept of a profile's events, one leaf for everybody who needs the same.

Each kind has its module: `totals` folds what no window forgets, `stamps` keeps instants to count within
windows, `sessions` chains, `rows` the events with the values that are still needed. A leaf's state is plain
data under its number in `Profile.leaves`; every state ends with how often something had to be left out.
"""
