"""How a program that serves says no.

ServingError              the base of this room's errors, and of those of every program that stands on it
├── ConfigurationError    settings that the operator must mend
├── KeyStoreError         a key cannot be opened, made or used
└── StorageError          the database cannot be used as it is
    └── Conflict          a row that must be the only one of its kind is there already

Each program's own base derives from ServingError, so that whoever runs programs catches one. The messages are for their
operator, and hold neither secrets nor rows.
"""

from __future__ import annotations


class ServingError(Exception):
    """The base of the errors of all that serves."""


class ConfigurationError(ServingError):
    """Settings that the operator must mend; the message names the file, the key and the allowed values."""


class KeyStoreError(ServingError):
    """A key cannot be opened, made or used."""


class StorageError(ServingError):
    """The database cannot be used as it is."""


class Conflict(StorageError):
    """A row that must be the only one of its kind is there already."""
