from __future__ import annotations

from tests.fakes.smpp34_smsc import Smpp34Smsc
from tests.fakes.smsc import Manners, Smsc
from tests.integration.smpp_scenarios import SmppScenarios


class TestSmpp34(SmppScenarios):
    """Our SMPP against the server of the `smpp34` package."""

    def smsc(self, manners: Manners) -> Smsc:
        """Return the server of `smpp34`."""
        return Smpp34Smsc(manners)
