from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ca_server.config import Gateway
from ca_server.errors import ConfigurationError
from ca_server.sms.gateway import SmsGateway
from ca_server.sms.loading import open_gateway, open_gateways
from ca_server.sms.outbox_gateway import DevelopmentOutbox
from ca_server.sms.smpp_gateway import SmppGateway
from tests.fakes.scripted_gateway import ScriptedGateway

NO_FACTORY = "not callable"
SMPP = {"host": "smsc.example", "system_id": "ca", "password_variable": "SMPP_PASSWORD"}


def a_gateway(type_: str, **options: object) -> Gateway:
    """Return the table of a gateway."""
    return Gateway("main", type_, "One", "Example CA", options)


def make_scripted(settings: Gateway, base: Path) -> SmsGateway:
    """Stand for an outsider's factory."""
    assert base.is_dir()
    return ScriptedGateway(f"{settings.name}{settings.options.get('suffix', '')}", settings.operator, settings.sender)


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the password of the SMPP account."""
    monkeypatch.setenv("SMPP_PASSWORD", "secret")


def test_each_type_opens_its_gateway_in_the_order_of_the_configuration(tmp_path: Path) -> None:
    """`smpp`, `outbox` and `module:attribute` are opened, none of them connecting to anything."""
    tables = [a_gateway("smpp", **SMPP), a_gateway("outbox"), a_gateway(f"{__name__}:make_scripted")]
    kinds = [type(gateway) for gateway in open_gateways(tables, tmp_path)]
    assert kinds == [SmppGateway, DevelopmentOutbox, ScriptedGateway]


@pytest.mark.parametrize(
    ("type_", "message"),
    [
        ("smtp", r"there is no type 'smtp'; the types are: 'outbox', 'smpp', or 'module:attribute'"),
        ("module:", r"there is no type 'module:'"),
        (":attribute", r"there is no type ':attribute'"),
        ("no.such.module:Gateway", r"cannot be imported: No module named 'no'; is its package installed"),
        (f"{__name__}:missing", r"cannot be imported: .* has no attribute 'missing'"),
        ("..relative:thing", r"cannot be imported"),
        (f"{__name__}:NO_FACTORY", r"is not callable; name a class or a function"),
    ],
)
def test_a_type_that_cannot_be_opened_is_named(type_: str, message: str, tmp_path: Path) -> None:
    """The operator is told which gateway, what is wrong and what is allowed."""
    with pytest.raises(ConfigurationError, match=f"gateway 'main': .*{message}"):
        open_gateway(a_gateway(type_), tmp_path)


def test_a_gateway_that_goes_by_another_name_is_refused(tmp_path: Path) -> None:
    """Receipts and routes know a gateway by its configured name, so it must know it too."""
    with pytest.raises(ConfigurationError, match="must report the name, operator and sender"):
        open_gateway(a_gateway(f"{__name__}:make_scripted", suffix="-2"), tmp_path)


@pytest.mark.parametrize(
    ("type_", "options", "message"),
    [
        ("outbox", {"directory": "sms"}, "has no option 'directory'; its options are: folder"),
        ("outbox", {"folder": 7}, "Expected a path"),
        (
            "smpp",
            {**SMPP, "hots": "x", "pport": 1},
            "has no option 'hots', 'pport'; its options are: host, system_id, ",
        ),
        ("smpp", {"system_id": "ca"}, "missing required field `host`"),
        ("smpp", {**SMPP, "port": 0}, r"Expected `int` >= 1 - at `\$.port`"),
        ("smpp", {**SMPP, "system_id": "a" * 16}, r"length <= 15 - at `\$.system_id`"),
        ("smpp", {**SMPP, "alphabet": "ebcdic"}, r"at `\$.alphabet`"),
        ("smpp", {**SMPP, "response_ids": "octal"}, r"at `\$.response_ids`"),
        ("smpp", {**SMPP, "tls_ca_file": "ca.pem"}, "tls_ca_file is of use with tls = true only"),
        ("smpp", {**SMPP, "tls": True, "tls_ca_file": "none.pem"}, "tls_ca_file cannot be read"),
        ("smpp", {"host": "a", "system_id": "b"}, "need either password_file or password_variable"),
        ("smpp", {**SMPP, "password_file": "p"}, "need either password_file or password_variable"),
        ("smpp", {**SMPP, "password_variable": "UNSET"}, "environment variable UNSET with the password is not set"),
    ],
)
def test_wrong_options_are_named_with_those_allowed(
    type_: str, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """An unknown, missing or impossible option stops the start with one line that says what to mend."""
    with pytest.raises(ConfigurationError, match=f"gateway 'main': .*{message}"):
        open_gateway(a_gateway(type_, **options), tmp_path)


@pytest.mark.parametrize("content", ["", "\n", "ninechars", "pässwort"])
def test_a_password_that_smpp_cannot_carry_is_refused_unseen(content: str, tmp_path: Path) -> None:
    """SMPP 3.4 §5.2.2: a password has at most 8 octets; a longer one would be cut silently, and is not shown."""
    (tmp_path / "password").write_text(content, encoding="utf-8")
    options = {"host": "a", "system_id": "b", "password_file": "password"}
    with pytest.raises(ConfigurationError, match="1 to 8 ASCII characters") as raised:
        open_gateway(a_gateway("smpp", **options), tmp_path)
    assert content.strip() not in str(raised.value) or not content.strip()


def test_a_missing_password_file_is_named(tmp_path: Path) -> None:
    """The path is told, so that the operator can make the file."""
    options = {"host": "a", "system_id": "b", "password_file": "nowhere"}
    with pytest.raises(ConfigurationError, match="nowhere cannot be read"):
        open_gateway(a_gateway("smpp", **options), tmp_path)
