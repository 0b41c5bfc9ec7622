"""The errors of signed releases. Their messages are for people: what is wrong, and what to do."""


class ReleaseError(Exception):
    """The base of all that can go wrong with a release.

    ReleaseError
    ├── PublishingError     the publisher's folder, keys or signatures do not allow it
    ├── BusyError           another process is changing the same folder
    ├── MirrorError         whoever hands out the release could not be asked, or hands out too little
    └── UpdateRefused       what a mirror hands out is not believed; the last good release stays
        ├── RollbackRefused     it is older than what was seen before
        ├── FrozenRefused       nothing that it hands out is still valid: it may be held back
        ├── UnsignedRefused     too few of the known keys signed it
        └── MismatchRefused     its parts do not belong together
    """


class PublishingError(ReleaseError):
    """The publisher's folder, keys or signatures do not allow what was asked for."""


class BusyError(ReleaseError):
    """Another process is changing the same folder."""


class MirrorError(ReleaseError):
    """A mirror that could not be asked, or that has not what it should have. A later try may succeed."""


class UpdateRefused(ReleaseError):
    """What a mirror hands out is not believed. The last good release stays in use."""


class RollbackRefused(UpdateRefused):
    """What a mirror hands out is older than what was seen before."""


class FrozenRefused(UpdateRefused):
    """What a mirror hands out has expired."""


class UnsignedRefused(UpdateRefused):
    """What a mirror hands out was signed by too few of the keys that are known."""


class MismatchRefused(UpdateRefused):
    """The parts of what a mirror hands out do not belong together."""
