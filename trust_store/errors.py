"""The errors of this room. What is wrong with a call is no error: it is a verdict."""


class TrustStoreError(Exception):
    """The trust store cannot be used or changed as asked.

    TrustStoreError
    ├── TrustFileError        trust.toml, or a file that it names, cannot be read as what it is
    ├── AnchorError           a certificate that cannot be an anchor, or an anchor that is not there
    ├── LogError              a log's description that cannot be used, or a log that is not there
    ├── ListError             a curated list that cannot be read, fetched or followed as asked
    ├── ExpectationError      a line of an expectations file that says nothing
    ├── MovingError           a trust store that cannot be exported or imported as asked
    ├── FetchError            a document could not be had from the network
    └── MemoryFileError       the memory of messages that came in cannot be used
    """


class TrustFileError(TrustStoreError):
    """`trust.toml`, or a certificate beside it, is missing or damaged. The message names the file and the line."""


class AnchorError(TrustStoreError):
    """A certificate that cannot be an anchor, or a name that no anchor has."""


class LogError(TrustStoreError):
    """A log's description that cannot be used, or a name that no log has."""


class ListError(TrustStoreError):
    """A curated list that is malformed, refused or not there. What was believed of it before stays in use."""


class ExpectationError(TrustStoreError):
    """A line of an expectations file that cannot be read."""


class MovingError(TrustStoreError):
    """An export that would lose something, or an import that is none or would overwrite something."""


class FetchError(TrustStoreError):
    """A document could not be fetched, or must not be."""


class MemoryFileError(TrustStoreError):
    """The file that remembers messages cannot be read or written."""
