"""What others are told about a directory."""

from __future__ import annotations

from number_directory.description import DirectoryDescription, Limits
from number_directory.errors import DescriptionError
from number_directory.hidden import HiddenKey
from number_directory.server.config import DirectoryConfig
from number_directory.server.errors import ConfigurationError
from transparency.signed_note import Ed25519Signer


def describe(config: DirectoryConfig, signer: Ed25519Signer, hidden: HiddenKey | None) -> DirectoryDescription:
    """Return what others are told about a directory; raise ConfigurationError where that cannot be said."""
    try:
        return DirectoryDescription(
            name=config.name,
            operator=config.operator,
            url=config.url,
            record_log=signer.verifier,
            hidden_key=None if hidden is None else hidden.public_key,
            limits=Limits(forwarding_days=config.records.forwarding_days),
        )
    except DescriptionError as error:
        raise ConfigurationError(str(error)) from error
