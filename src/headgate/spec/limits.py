"""Sizes and counts that the tracking doors hold every caller to.

Source: https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/#max-request-size
(500 KB a request, 32 KB a message, 2,500 messages a batch). The body may be a little larger than 500 KB
because some libraries fill it to 512,000 bytes before they add their own envelope.
"""

MAX_BODY_BYTES = 512 * 1024  # after decompression
MAX_MESSAGE_BYTES = 32 * 1024
MAX_BATCH_MESSAGES = 2_500
MAX_NESTING = 500
REQUEST_DEADLINE_S = 30.0
