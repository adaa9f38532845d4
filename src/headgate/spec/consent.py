"""The consent object: what a user agreed to, by category, as the sender's consent tool recorded it.

Delivery asks here, per message, for destinations that name the consent categories they need. A
message without a consent object flows; one that carries preferences flows only where every category
of the destination is `true`, so empty preferences are a no to every destination with categories.
https://segment.com/docs/privacy/consent-management/consent-in-segment-connections/

Where preferences are there but cannot be read (text, a list), nobody has said yes: a no.
"""

from collections.abc import Collection


def consents(context: object, categories: Collection[str]) -> bool:
    """Whether a message with this context may go to a destination that needs all `categories`."""
    if not categories or not isinstance(context, dict):
        return True
    consent = context.get("consent")
    if not isinstance(consent, dict):
        return True
    preferences = consent.get("categoryPreferences")
    if preferences is None:
        return True
    if not isinstance(preferences, dict):
        return False
    return all(preferences.get(category) is True for category in categories)
