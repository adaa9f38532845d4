"""The public doors: every message enters here and is answered once the event log has it on disk."""
