"""No SMS at all: each message becomes a file in a folder. For development, tests and demonstrations only."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from ca_server.config import Gateway
from ca_server.errors import SmsUnavailable
from ca_server.orders import Delivery
from ca_server.sms.gateway import DeliveryReceipt, OutgoingSms, ReceiptHandler
from ca_server.sms.options import read_options

_log = structlog.stdlib.get_logger(__name__)

_OWNER_ONLY_FOLDER = 0o700
_OWNER_ONLY_FILE = 0o600


class OutboxOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of an `outbox` gateway: the folder to write to, relative to the configuration's own."""

    folder: Path = Path("outbox-development")


class DevelopmentOutbox:
    """Writes what a real gateway would send, where anybody who can read the folder can read the codes.

    A file is named after the message and appears whole. A message that is sent again replaces its file, so that there
    is one file for each message however often its worker was killed. It need not survive a lost power supply: no SMS
    that was sent does.
    """

    def __init__(self, settings: Gateway, base: Path, *, clock: Callable[[], datetime] | None = None) -> None:
        """Read the options; the folder is made by `start`. Raises ConfigurationError."""
        self._settings = settings
        self._folder = base / read_options(settings, OutboxOptions).folder
        self._clock = clock or (lambda: datetime.now(UTC))
        self._on_receipt: ReceiptHandler | None = None

    @property
    def name(self) -> str:
        """The gateway's name in the configuration."""
        return self._settings.name

    @property
    def operator(self) -> str:
        """The operator that the configuration names; there is none in truth."""
        return self._settings.operator

    @property
    def sender(self) -> str:
        """The sender that stands in the file."""
        return self._settings.sender

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self._folder

    def start(self, on_receipt: ReceiptHandler) -> None:
        """Make the folder, and say on the log that no SMS is sent."""
        self._on_receipt = on_receipt
        self._folder.mkdir(mode=_OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
        _log.warning(
            "sms_outbox_is_no_real_sms",
            gateway=self.name,
            folder=str(self._folder),
            meaning="codes are written to files and no phone gets them; use this for development only",
        )

    def send(self, sms: OutgoingSms) -> str:
        """Write the message to a file, and report it as delivered. Raises SmsUnavailable where it cannot be written."""
        try:
            self._write(sms)
        except OSError as error:
            msg = f"gateway {self.name!r} cannot write to {self._folder}: {error.strerror}"
            raise SmsUnavailable(msg) from error
        if self._on_receipt is not None:
            self._on_receipt(DeliveryReceipt(self.name, sms.id, Delivery.DELIVERED, self._clock()))
        return sms.id

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def _write(self, sms: OutgoingSms) -> None:
        path = self._folder / f"{sms.id}.txt"
        draft = path.with_suffix(".draft")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, _OWNER_ONLY_FILE)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"From: {self.sender}\nTo: {sms.to.e164}\nDate: {self._clock().isoformat()}\n\n{sms.text}\n")
        draft.replace(path)
