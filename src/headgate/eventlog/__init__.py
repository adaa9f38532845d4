"""The durable log of accepted messages: written by the gateway, read by everything after it."""
