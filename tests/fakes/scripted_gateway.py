"""A gateway that does as it is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from ca_server.config import Gateway
from ca_server.sms.gateway import OutgoingSms, ReceiptHandler


@dataclass
class ScriptedGateway:
    """Takes messages, or raises what `answers` says, one after the other, and then takes them."""

    name: str
    operator: str = "One"
    sender: str = "Example CA"
    answers: list[Exception] = field(default_factory=list)
    taken: list[OutgoingSms] = field(default_factory=list)
    on_receipt: ReceiptHandler | None = None
    closed: bool = False

    @property
    def settings(self) -> Gateway:
        """Its table in the configuration."""
        return Gateway(self.name, "scripted", self.operator, self.sender)

    def start(self, on_receipt: ReceiptHandler) -> None:
        """Remember where receipts go."""
        self.on_receipt = on_receipt

    def send(self, sms: OutgoingSms) -> str:
        """Do what comes next in the script."""
        if self.answers:
            raise self.answers.pop(0)
        self.taken.append(sms)
        return f"{self.name}-{len(self.taken)}"

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True
