"""The errors of this room: a malformed or untrue input raises one of these and nothing else."""


class DirectoryError(ValueError):
    """Something an owner, a caller or a directory said that is malformed or untrue.

    DirectoryError
    ├── StatementError            a statement in no known form, or not signed by its certificate's key
    │   ├── RecordError           a record
    │   ├── AccessListError       an access list
    │   ├── LookupRequestError    a lookup, signed or not
    │   ├── HiddenQuestionError   a question for hidden numbers
    │   ├── MoveError             a move to another directory
    │   └── OwnListingError       an owner's question about its own records
    ├── AnswerError               a directory's answer that cannot be read
    ├── ReceiptError              a receipt that does not prove what it should
    └── DescriptionError          a directory's description that cannot be used
    """


class StatementError(DirectoryError):
    """A statement that is malformed, or that its certificate's key did not sign."""


class RecordError(StatementError):
    """A record that is malformed, or that its certificate's key did not sign."""


class AccessListError(StatementError):
    """An access list that is malformed, or that its certificate's key did not sign."""


class LookupRequestError(StatementError):
    """A lookup that is malformed, or that its certificate's key did not sign."""


class HiddenQuestionError(StatementError):
    """A question for hidden numbers that is malformed."""


class MoveError(StatementError):
    """A move that is malformed, or that its certificate's key did not sign."""


class OwnListingError(StatementError):
    """An owner's question that is malformed, or that its certificate's key did not sign."""


class AnswerError(DirectoryError):
    """A directory's answer that cannot be read."""


class ReceiptError(DirectoryError):
    """A receipt that does not prove that the directory took a record."""


class DescriptionError(DirectoryError):
    """A directory's description that is malformed or contradicts itself."""
