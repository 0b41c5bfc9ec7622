"""The errors of the routing map. Their messages are for people: what is wrong, and what to do.

How the map is signed and handed out has errors of its own: `transparency.releases.errors`.
"""


class RoutingError(Exception):
    """The base of all that can go wrong with a map.

    RoutingError
    ├── MapFormatError      a chunk, delta, manifest or answer that is malformed
    ├── BuildError          entries or services of which no map can be made
    ├── NoMapError          there is no map in a folder
    ├── DamagedMapError     files of a map that are not what they were when they were written
    └── MapServerError      a map server could not be asked, or answers nothing that helps
    """


class MapFormatError(RoutingError):
    """Bytes or values that form no part of a map."""


class BuildError(RoutingError):
    """Entries or services of which no map can be made."""


class NoMapError(RoutingError):
    """A folder in which there is no map."""


class DamagedMapError(RoutingError):
    """Files of a map that are not what they were when they were written."""


class MapServerError(RoutingError):
    """A map server that could not be asked, or does not answer what was asked. A later try may succeed."""
