"""The errors of this room: a malformed or untrue input raises one of these and nothing else."""


class TransparencyError(ValueError):
    """Something a log, an authority or a witness said that is malformed or untrue.

    TransparencyError
    ├── EntryError             not a sealed entry, or a value that none can hold
    ├── ProofError             hashes, tiles or a proof that do not lead to the tree's root (RFC 6962 §2.1)
    ├── TileError              a tile, an entry bundle or a path that is malformed (C2SP tlog-tiles)
    │   └── TileMissingError   the log has no file at a path; raised by the function that fetches
    ├── VrfError               a VRF key or proof that is malformed or false (RFC 9381)
    ├── NoteError              not a signed note, or not signed by a known key (C2SP signed-note)
    │   └── CheckpointError    a note that is no checkpoint (C2SP tlog-checkpoint)
    ├── SctError               a signed certificate timestamp that is malformed or false (RFC 6962 §3)
    ├── LabelIndexError        a bucket, node or map checkpoint of the label index that is malformed or false
    └── LogDescriptionError    a log's description that cannot be used
    """


class EntryError(TransparencyError):
    """Bytes or values that form no sealed entry."""


class ProofError(TransparencyError):
    """Hashes that do not lead to the root they should."""


class TileError(TransparencyError):
    """A tile, an entry bundle or a tile's path that is malformed."""


class TileMissingError(TileError):
    """There is nothing at a tile's path."""


class VrfError(TransparencyError):
    """A VRF key or proof that is malformed or false."""


class NoteError(TransparencyError):
    """A signed note that is malformed, or that no known key signed."""


class CheckpointError(NoteError):
    """A note whose text is no checkpoint, or not the log's."""


class SctError(TransparencyError):
    """A signed certificate timestamp that is malformed or false."""


class LabelIndexError(TransparencyError):
    """A part of the label index that is malformed or false."""


class LogDescriptionError(TransparencyError):
    """A log's description that is malformed or contradicts itself."""
