"""Sources, destinations and settings: what headgate.yaml says and the store keeps, version by version."""
