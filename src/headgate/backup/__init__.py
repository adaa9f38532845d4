"""Backup and restore: a data directory as one file, taken beside a running server, and back again."""
