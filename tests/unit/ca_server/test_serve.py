from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ca_server import serve as module
from ca_server.config import Authority, Config, Gateway
from ca_server.errors import ConfigurationError
from policies.issuance import IssuancePolicy
from serving.errors import ServingError


def test_settings_that_cannot_work_stop_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway without a type and an authority without certificates are told at once, and nothing is served."""
    monkeypatch.setattr(module, "configure_log", lambda _level: None)
    gateway = Gateway("g", "outbox", "o", "1")
    working = Config("http://127.0.0.1", Authority("A", "B"), (gateway,), IssuancePolicy(), folder=tmp_path)
    no_type = msgspec.structs.replace(working, gateways=(Gateway("g", "pigeon", "o", "1"),))
    with pytest.raises(ConfigurationError, match="there is no type 'pigeon'"):
        module.serve(no_type, pytest.fail)
    with pytest.raises(ServingError, match=r"authority\.certificate: .* cannot be read"):
        module.serve(working, pytest.fail)
