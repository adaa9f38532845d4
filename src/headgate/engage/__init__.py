"""Engage: profiles, computed traits and audiences, and the identify messages that tell destinations.

Reads the event log as delivery does, keeps its own state, and writes back into the log through the
gateway.
"""
