"""Names of audiences and computed traits, and the keys made of them.

The key is the trait's name on profiles and the property's name at destinations. It never changes and is
never used again, so a name that would make a poor one is refused rather than bent into shape.
https://segment.com/docs/engage/faqs/
"""

import re
import unicodedata

LONGEST_KEY = 255

_OUTSIDE = re.compile(r"[^a-z0-9]+")
_KEY = re.compile(r"[a-z0-9]+(_+[a-z0-9]+)*")

# What sources send about users in identify calls, and what destinations use for the user's identity.
# https://segment.com/docs/connections/spec/identify/#traits
RESERVED = frozenset(
    {
        "address",
        "age",
        "anonymous_id",
        "avatar",
        "birthday",
        "company",
        "created_at",
        "description",
        "email",
        "first_name",
        "gender",
        "group_id",
        "id",
        "identity",
        "last_name",
        "name",
        "phone",
        "title",
        "user_id",
        "username",
        "website",
    }
)


class NameRefused(ValueError):
    """A name or key that no audience or computed trait may have: what was expected, what was found."""

    def __init__(self, expected: str, found: str, hint: str = "") -> None:
        sentence = f"expected {expected}, found {found}"
        super().__init__(f"{sentence}; {hint}" if hint else sentence)
        self.expected = expected
        self.found = found
        self.hint = hint


def key_of(name: str) -> str:
    """The key of a name: lower case, whatever is no letter or digit becomes one `_`, none at the ends.

    Letters and digits that touch stay together: `Last 30days` → `last_30days`. Raises NameRefused.
    """
    for character in name:
        if not character.isascii() and unicodedata.category(character)[0] in "LMN":
            raise NameRefused(
                "a name of the letters a to z and digits",
                f"`{character}` in `{name}`",
                "the key is made of the name, and keys have no other letters",
            )
    key = _OUTSIDE.sub("_", name.lower()).strip("_")
    if not key:
        raise NameRefused("a name with a letter or a digit", f"`{name}`")
    return check_key(key)


def check_key(key: str) -> str:
    """The key itself. Raises NameRefused when it has other characters, is too long or is taken already."""
    if not _KEY.fullmatch(key):
        raise NameRefused("a key such as `first_time_shopper`", f"`{key}`")
    if len(key) > LONGEST_KEY:
        raise NameRefused(f"a key of at most {LONGEST_KEY} characters", str(len(key)))
    if key in RESERVED:
        raise NameRefused("a key of its own", f"`{key}`, which is a trait of every user")
    return key
