"""The errors of the demo."""


class DemoError(Exception):
    """The stage could not be set: a server did not start, or an SMS did not come. The message says which."""
