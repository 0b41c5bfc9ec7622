"""The errors of the routing map. Their messages are for people: what is wrong, and what to do."""


class RoutingError(Exception):
    """The base of all that can go wrong with a map.

    RoutingError
    ├── MapFormatError      a chunk, delta, manifest or answer that is malformed
    ├── BuildError          entries or services of which no map can be made
    ├── PublishingError     the publisher's folder, keys or signatures do not allow it
    ├── NoMapError          there is no map in a folder
    ├── DamagedMapError     files of a map that are not what they were when they were written
    ├── BusyError           another process is changing the same folder
    ├── MirrorError         whoever hands out the map could not be asked, or hands out too little
    └── UpdateRefused       what a mirror hands out is not believed; the last good version stays
        ├── RollbackRefused     it is older than what was seen before
        ├── FrozenRefused       nothing that it hands out is still valid: it may be held back
        ├── UnsignedRefused     too few of the known keys signed it
        └── MismatchRefused     its parts do not belong together
    """


class MapFormatError(RoutingError):
    """Bytes or values that form no part of a map."""


class BuildError(RoutingError):
    """Entries or services of which no map can be made."""


class PublishingError(RoutingError):
    """The publisher's folder, keys or signatures do not allow what was asked for."""


class NoMapError(RoutingError):
    """A folder in which there is no map."""


class DamagedMapError(RoutingError):
    """Files of a map that are not what they were when they were written."""


class BusyError(RoutingError):
    """Another process is changing the same folder."""


class MirrorError(RoutingError):
    """A mirror that could not be asked, or that has not what it should have. A later try may succeed."""


class UpdateRefused(RoutingError):
    """What a mirror hands out is not believed. The last good version stays in use."""


class RollbackRefused(UpdateRefused):
    """What a mirror hands out is older than what was seen before."""


class FrozenRefused(UpdateRefused):
    """What a mirror hands out has expired."""


class UnsignedRefused(UpdateRefused):
    """What a mirror hands out was signed by too few of the keys that are known."""


class MismatchRefused(UpdateRefused):
    """The parts of what a mirror hands out do not belong together."""
