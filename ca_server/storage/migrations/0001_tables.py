"""All tables of the first release.

Times are microseconds since 1970 in UTC. Names in URLs are 22 random base64url characters. `numbers` is the value of an
ACME identifier of type TNAuthList.
"""

from __future__ import annotations

from peewee import (
    BigIntegerField,
    BlobField,
    BooleanField,
    CompositeKey,
    Database,
    ForeignKeyField,
    IntegerField,
    Model,
    SqliteDatabase,
    TextField,
)
from playhouse.migrate import SchemaMigrator  # type: ignore[import-untyped]  # has no stubs


class Secret(Model):
    """A random secret that all front ends share."""

    name = TextField(primary_key=True)
    value = BlobField()

    class Meta:
        table_name = "secrets"


class Nonce(Model):
    """A nonce that was used and may not be again."""

    id = TextField(primary_key=True)
    expires_at = BigIntegerField(index=True)

    class Meta:
        table_name = "nonces"


class Bucket(Model):
    """A token bucket: the moment from which it will be full again (GCRA's theoretical arrival time)."""

    key = TextField(primary_key=True)
    full_at = BigIntegerField()

    class Meta:
        table_name = "buckets"


class Account(Model):
    """An ACME account."""

    id = TextField(primary_key=True)
    jwk = TextField()
    thumbprint = BlobField(unique=True)
    contacts = TextField()
    terms_agreed = BooleanField()
    created_at = BigIntegerField()
    deactivated_at = BigIntegerField(null=True)

    class Meta:
        table_name = "accounts"
        indexes = ((("created_at", "id"), False),)


class Authorization(Model):
    """An account's claim to a number."""

    id = TextField(primary_key=True)
    account = ForeignKeyField(Account, index=False)
    numbers = TextField()
    created_at = BigIntegerField()
    expires_at = BigIntegerField()
    deactivated_at = BigIntegerField(null=True)
    revoked_at = BigIntegerField(null=True)

    class Meta:
        table_name = "authorizations"
        indexes = ((("account", "numbers", "expires_at"), False),)


class Challenge(Model):
    """A way to prove the number, and how far the client has come with it."""

    id = TextField(primary_key=True)
    authorization = ForeignKeyField(Authorization)
    type = TextField()
    token = TextField()
    attempts_allowed = IntegerField()
    attempts_used = IntegerField()
    sends_allowed = IntegerField()
    sends_used = IntegerField()
    asks = IntegerField()
    next_send_at = BigIntegerField(null=True)
    answerable_until = BigIntegerField(null=True)
    validated_at = BigIntegerField(null=True)
    validation = TextField(null=True)
    failed_at = BigIntegerField(null=True)
    error_kind = TextField(null=True)
    error_detail = TextField(null=True)

    class Meta:
        table_name = "challenges"


class Code(Model):
    """Part 1 of one ask. Deleted once the challenge is settled or the code has expired."""

    challenge = ForeignKeyField(Challenge, index=False)
    ask = IntegerField()
    part1 = TextField()
    routes = IntegerField()
    expires_at = BigIntegerField(index=True)

    class Meta:
        table_name = "codes"
        primary_key = CompositeKey("challenge", "ask")


class Message(Model):
    """An SMS. `text` is erased, and `due_at` null, once it was handed over or never will be.

    `due_at` is when it may be claimed; while `claimed`, that is the end of the lease. `uncertain` tells that an earlier
    transmission may have reached the phone, by one of the gateways in `tried` (a JSON array of names).
    """

    id = TextField(primary_key=True)
    challenge = ForeignKeyField(Challenge, index=False)
    ask = IntegerField()
    route = IntegerField()
    number = TextField()
    text = TextField(null=True)
    queued_at = BigIntegerField()
    expires_at = BigIntegerField()
    due_at = BigIntegerField(null=True)
    claimed = BooleanField()
    uncertain = BooleanField()
    tried = TextField()
    transmissions = IntegerField()
    delivery = TextField()
    gateway = TextField(null=True)

    class Meta:
        table_name = "messages"
        indexes = ((("challenge", "ask", "route"), True),)


class Handover(Model):
    """A gateway's name for a message it took, and what its receipt said; either may come first."""

    gateway = TextField()
    message_id = TextField()
    message = ForeignKeyField(Message, null=True, index=False, column_name="sms_id")
    delivery = TextField(null=True)
    noted_at = BigIntegerField(index=True)

    class Meta:
        table_name = "handovers"
        primary_key = CompositeKey("gateway", "message_id")


class Order(Model):
    """A request for a certificate, and what the certificate will say once that is fixed."""

    id = TextField(primary_key=True)
    account = ForeignKeyField(Account, index=False)
    numbers = TextField()
    created_at = BigIntegerField()
    expires_at = BigIntegerField()
    not_before = BigIntegerField(null=True)
    not_after = BigIntegerField(null=True)
    authorization = ForeignKeyField(Authorization)
    serial = BlobField(null=True, unique=True)
    csr = BlobField(null=True)
    certificate_not_before = BigIntegerField(null=True)
    certificate_not_after = BigIntegerField(null=True)
    shard = IntegerField(null=True)
    validation = TextField(null=True)
    reserved_at = BigIntegerField(null=True)
    certificate_id = TextField(null=True)
    error_kind = TextField(null=True)
    error_detail = TextField(null=True)

    class Meta:
        table_name = "orders"
        indexes = ((("account", "created_at", "id"), False),)


class Certificate(Model):
    """An issued certificate. `issuer` names the issuing certificate, `chain` is what the client downloads."""

    id = TextField(primary_key=True)
    serial = BlobField(unique=True)
    account = ForeignKeyField(Account)
    order = ForeignKeyField(Order, unique=True)
    number = TextField(index=True)
    issuer = TextField()
    der = BlobField()
    chain = BlobField()
    key_hash = BlobField(index=True)
    issued_at = BigIntegerField()
    not_before = BigIntegerField()
    not_after = BigIntegerField()
    shard = IntegerField()
    revoked_at = BigIntegerField(null=True)
    revocation_reason = IntegerField(null=True)

    class Meta:
        table_name = "certificates"
        indexes = ((("issued_at", "id"), False),)


class RevocationList(Model):
    """The newest CRL of a shard, and the highest number that was ever taken for one."""

    issuer = TextField()
    shard = IntegerField()
    taken = BigIntegerField()
    number = BigIntegerField(null=True)
    der = BlobField(null=True)
    this_update = BigIntegerField(null=True)
    next_update = BigIntegerField(null=True)

    class Meta:
        table_name = "revocation_lists"
        primary_key = CompositeKey("issuer", "shard")


_TABLES = (
    Secret,
    Nonce,
    Bucket,
    Account,
    Authorization,
    Challenge,
    Code,
    Message,
    Handover,
    Order,
    Certificate,
    RevocationList,
)
_PARTIAL_INDEXES = (
    "CREATE INDEX messages_due ON messages (due_at) WHERE due_at IS NOT NULL",
    """
    CREATE INDEX orders_reserved ON orders (reserved_at)
    WHERE reserved_at IS NOT NULL AND certificate_id IS NULL AND error_kind IS NULL
    """,
    "CREATE INDEX certificates_revoked ON certificates (issuer, shard, not_after) WHERE revoked_at IS NOT NULL",
)


def up(migrator: SchemaMigrator, database: Database) -> None:  # noqa: ARG001 - playhouse calls it so
    """Create the tables and their indices."""
    if isinstance(database, SqliteDatabase):
        Nonce._meta.without_rowid = True  # noqa: SLF001 - one B-tree to write instead of two
    with database.bind_ctx(_TABLES, bind_refs=False, bind_backrefs=False):
        database.create_tables(_TABLES)
    for statement in _PARTIAL_INDEXES:
        database.execute_sql(statement)  # type: ignore[no-untyped-call]  # its stub has no types
