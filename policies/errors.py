"""The errors of this room."""


class PolicyError(ValueError):
    """The base of this room's errors.

    PolicyError
    └── PolicyFileError       a policy file that cannot be read as one
    """


class PolicyFileError(PolicyError):
    """A file of settings that is no TOML, or says what its type does not allow.

    The message names the file, the path of the key inside it, and the allowed values.
    """
