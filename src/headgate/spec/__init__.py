"""The Segment Spec, pure: messages, timestamps, the integrations object, limits, names. Knows no other room."""
