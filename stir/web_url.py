"""The http and https URLs that signed statements may point to: the characters of RFC 3986 only."""

from __future__ import annotations

import re
from typing import TypeGuard

_WEB_URL = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{1,2000}", re.ASCII)


def is_web_url(value: object) -> TypeGuard[str]:
    """Tell whether a value is the text of an http or https URL in ASCII."""
    return isinstance(value, str) and _WEB_URL.fullmatch(value) is not None


def is_base_url(value: object) -> TypeGuard[str]:
    """Tell whether paths can be put behind a URL: it has no query, no fragment and no slash at the end."""
    return is_web_url(value) and not value.endswith("/") and "?" not in value and "#" not in value
