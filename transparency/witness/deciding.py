"""May this checkpoint be cosigned? Nothing here reads a clock, a file or a socket (C2SP tlog-witness)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from transparency.add_checkpoint import Submission
from transparency.checkpoint import Checkpoint
from transparency.errors import NoteError, ProofError
from transparency.merkle import verify_consistency
from transparency.signed_note import Note, Verifier
from transparency.witness.errors import Refusal, RefusalKind


def read(body: bytes) -> tuple[Submission, Checkpoint]:
    """Return a request and what its note says, before anything of it is believed; raise Refusal."""
    try:
        submission = Submission.parse(body)
        return submission, submission.checkpoint()
    except NoteError as error:
        raise Refusal(RefusalKind.MALFORMED, str(error)) from error


def authenticate(submission: Submission, checkpoint: Checkpoint, logs: Mapping[str, Sequence[Verifier]]) -> Note:
    """Return the note with the log's own signatures alone; raise Refusal. `logs` are the keys by origin."""
    keys = logs.get(checkpoint.origin)
    if not keys:
        raise Refusal(RefusalKind.UNKNOWN_LOG, "this witness does not know the log of that origin")
    try:
        signatures = submission.note.verified_by(keys)
    except NoteError as error:
        raise Refusal(RefusalKind.NOT_SIGNED, str(error)) from error
    if submission.old_size > checkpoint.size:
        raise Refusal(RefusalKind.MALFORMED, "the old size is above the checkpoint's: a log does not shrink")
    return Note(submission.note.text, signatures)


def require_growth(submission: Submission, checkpoint: Checkpoint, latest: Checkpoint | None) -> None:
    """Check that the checkpoint goes on from `latest`, the one that was cosigned last; raise Refusal.

    A checkpoint of the same size may come again; with another root it proves by itself that the log has forked.
    """
    known = 0 if latest is None else latest.size
    if latest is not None and checkpoint.size == known and checkpoint.root != latest.root:
        detail = f"another tree of {known} leaves was cosigned: the log shows two histories"
        raise Refusal(RefusalKind.FORK, detail, size=known if submission.old_size != known else None)
    if submission.old_size != known:
        detail = f"the checkpoint cosigned last has {known} leaves"
        raise Refusal(RefusalKind.OTHER_SIZE, detail, size=known)
    try:
        old_root = checkpoint.root if latest is None else latest.root
        _verify(submission, checkpoint, old_root)
    except ProofError as error:
        raise Refusal(RefusalKind.UNPROVEN, str(error)) from error


def _verify(submission: Submission, checkpoint: Checkpoint, old_root: bytes) -> None:
    if submission.old_size:
        verify_consistency(submission.old_size, checkpoint.size, submission.proof, old_root, checkpoint.root)
    elif submission.proof:
        msg = "nothing is to be proven from the empty tree: send no hashes"
        raise ProofError(msg)
