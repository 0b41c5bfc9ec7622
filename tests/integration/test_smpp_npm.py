from __future__ import annotations

import pytest

from tests.fakes.npm_smsc import NpmSmsc
from tests.fakes.smsc import Manners, Smsc, eventually
from tests.integration.smpp_scenarios import Site, SmppScenarios, Visit, an_sms
from tests.peers import require, require_npm


@pytest.mark.peer
class TestNpmSmpp(SmppScenarios):
    """Our SMPP against the server of the npm package `smpp`."""

    def smsc(self, manners: Manners) -> Smsc:
        """Return the server of npm `smpp`."""
        return NpmSmsc(require("node", "nodejs"), require_npm("smpp"), manners)

    def test_the_password_reaches_the_smsc_and_the_session_ends_with_unbind(self, visit: Visit) -> None:
        """The gateway binds with the password of its file, and takes its leave when it closes."""
        site: Site = visit()
        with site.started() as gateway:
            gateway.send(an_sms())
        smsc = site.smsc
        assert isinstance(smsc, NpmSmsc)
        eventually(lambda: smsc.unbinds == 1, "the gateway takes its leave")
        assert smsc.binds == ["secret"]
        assert smsc.errors == []
