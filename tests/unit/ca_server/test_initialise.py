from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from ca_server import initialise as module
from ca_server.app import create_app
from ca_server.config import Config
from ca_server.errors import ConfigurationError, StorageError
from ca_server.initialise import NewAuthority, initialise, settings
from ca_server.loading import load_config
from ca_server.signing.file_key_store import FileKeyStore
from ca_server.signing.loading import open_issuer
from serving.errors import ServingError
from stir.certificate import AuthorityCertificate
from stir.certificate_chain import read_pem_chain
from stir.telephone_number import NumberPrefix, TelephoneNumber
from tests.fakes.authority import NOW

NEW = NewAuthority(
    name="Example CA",
    operator="Example Ltd",
    public_url="http://127.0.0.1:14000",
    passphrase=None,
    prefixes=(NumberPrefix.parse("+1202"),),
    countries=("US", "GB"),
    gateway="outbox",
)


def test_what_is_made_works_as_it_is(tmp_path: Path) -> None:
    """The settings load, the key opens, the certificates form a chain, and the application comes up."""
    made = initialise(tmp_path / "ca", NEW, lambda: NOW)
    config = load_config(made.config)
    assert config.policy.countries == ("US", "GB")
    assert config.gateways[0].type == "outbox"
    issuer = open_issuer(config)
    assert issuer.covers(TelephoneNumber("12025550123"))
    assert not issuer.covers(TelephoneNumber("13015550123"))
    create_app(config)


def test_the_root_and_the_issuing_certificate_have_their_profile(tmp_path: Path) -> None:
    """The root is P-384 and lives 20 years, the issuing certificate is P-256, 3 years, and may not delegate."""
    made = initialise(tmp_path / "ca", NEW, lambda: NOW)
    root, issuing = (
        AuthorityCertificate.read(read_pem_chain((tmp_path / "ca" / name).read_bytes())[0])
        for name in ("root.pem", "issuing.pem")
    )
    assert (root.common_name, root.organization, root.numbers) == ("Example CA Root", "Example Ltd", None)
    assert isinstance(root.public_key.curve, ec.SECP384R1)
    assert (root.not_after - NOW).days == 7305
    assert (issuing.common_name, issuing.path_length) == (f"Example CA Issuing {NOW.year}", 0)
    assert isinstance(issuing.public_key.curve, ec.SECP256R1)
    assert (issuing.not_after - NOW).days == 1096
    assert made.anchor.fingerprint == root.fingerprint


def test_a_backdated_certificate_begins_after_its_issuer(tmp_path: Path) -> None:
    """The authority's certificates begin early enough for the first number's, which begins an hour ago."""
    made = initialise(tmp_path / "ca", NEW, lambda: NOW)
    policy = load_config(made.config).policy
    assert (NOW - made.issuing.not_before).total_seconds() > policy.backdate_minutes * 60


def test_keys_are_under_the_passphrase(tmp_path: Path) -> None:
    """Both keys are encrypted, and the settings say where the passphrase is."""
    (tmp_path / "passphrase").write_text("correct horse\n", encoding="utf-8")
    new = replace(NEW, passphrase=b"correct horse", passphrase_file=tmp_path / "passphrase")
    made = initialise(tmp_path / "ca", new, lambda: NOW)
    assert FileKeyStore(made.keys, b"correct horse").names() == ("issuing", "root")
    assert all(b"ENCRYPTED" in path.read_bytes() for path in made.keys.iterdir())
    open_issuer(load_config(made.config))


def test_a_server_behind_a_proxy_is_set_up_so(tmp_path: Path) -> None:
    """With an https URL and no TLS of its own, the proxy on this machine is named."""
    made = initialise(tmp_path / "ca", replace(NEW, public_url="https://ca.example"), lambda: NOW)
    config = load_config(made.config)
    assert config.server.trusted_proxies == ("127.0.0.1",)
    assert config.server.bind == "127.0.0.1:14000"


def test_an_smpp_gateway_waits_for_the_providers_data(tmp_path: Path) -> None:
    """The settings hold every option that the operator must fill in."""
    made = initialise(tmp_path / "ca", replace(NEW, gateway="smpp", sender="12025550100"), lambda: NOW)
    gateway = load_config(made.config).gateways[0]
    assert (gateway.type, gateway.sender) == ("smpp", "12025550100")
    assert {"host", "system_id", "password_variable"} <= gateway.options.keys()


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    """A folder that is there already, such as a mounted volume with its lost+found, is filled in place."""
    (tmp_path / "lost+found").mkdir()
    made = initialise(tmp_path, NEW, lambda: NOW)
    assert made.config == tmp_path / "ca.toml"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "answerback.db",
        "ca.toml",
        "issuing.pem",
        "keys",
        "lost+found",
        "root.pem",
    ]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A folder with anything in it is refused, and stays as it is."""
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"is not empty \(notes\.txt\), and nothing is overwritten"):
        initialise(tmp_path, NEW, lambda: NOW)
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]


def test_a_second_authority_in_one_place_is_refused(tmp_path: Path) -> None:
    """Running the command twice keeps the first authority."""
    made = initialise(tmp_path / "ca", NEW, lambda: NOW)
    with pytest.raises(ConfigurationError, match="nothing is overwritten"):
        initialise(tmp_path / "ca", NEW, lambda: NOW)
    open_issuer(load_config(made.config))


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), StorageError("the disk is full"), OSError(28, "No space left")])
def test_an_interruption_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool, error: BaseException
) -> None:
    """Whatever stops the work before its end, no file of it stays, keys least of all."""

    def fail(_path: Path) -> None:
        raise error

    monkeypatch.setattr(module, "_prepare", fail)
    folder = tmp_path / "ca"
    if exists:
        folder.mkdir()
    with pytest.raises((KeyboardInterrupt, ServingError)):
        initialise(folder, NEW, lambda: NOW)
    assert [entry.name for entry in tmp_path.rglob("*")] == (["ca"] if exists else [])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"countries": ("usa",)}, "policy.countries[0]: Expected text matching"),
        ({"public_url": "http://ca.example"}, "public_url: http is for a host on this machine only"),
        ({"name": "A" * 60}, "the name or the operator cannot stand in a certificate"),
        ({"name": "A\x07"}, "cannot stand in a certificate"),
        ({"sender": "A\x07"}, "has characters that cannot be printed"),
        ({"bind": "here"}, "server.bind: 'here' is not an address"),
    ],
)
def test_a_wrong_answer_is_told_before_anything_is_made(tmp_path: Path, change: dict[str, object], told: str) -> None:
    """The message names what was given, and not the draft that it was tried in."""
    with pytest.raises(ConfigurationError, match=re.escape(told)) as refused:
        initialise(tmp_path / "ca", replace(NEW, **change), lambda: NOW)  # type: ignore[arg-type]
    assert ".init-" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_is_told(tmp_path: Path) -> None:
    """A file in the way gives this room's error."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="is no folder"):
        initialise(tmp_path / "file", NEW, lambda: NOW)
    with pytest.raises(ConfigurationError, match="is no folder"):
        initialise(tmp_path / "file" / "ca", NEW, lambda: NOW)


def test_a_disk_that_takes_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the file system before the first file gives this room's error."""

    def fail(**_options: object) -> str:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "mkdtemp", fail)
    with pytest.raises(ConfigurationError, match="cannot be made: Read-only file system"):
        initialise(tmp_path / "ca", NEW, lambda: NOW)


def test_every_setting_is_explained() -> None:
    """Each key that the settings can have stands in the file, set or as a comment with its default."""
    text = settings(NEW)
    for key in settable(msgspec.inspect.type_info(Config)):
        assert re.search(rf"^#?\[*([a-z_]+\.)?{key}\b", text, re.MULTILINE), key


def test_what_is_commented_out_is_the_default() -> None:
    """Taking the # away from every setting that has a default changes nothing."""
    shown = settings(NEW)
    examples = r"^#(terms_of_service|website|folder|passphrase_file|trusted_proxies|unencrypted|certificate|key) = .*$"
    every = re.sub(examples, "", shown, flags=re.MULTILINE)
    every = re.sub(r"^#\[\[logs\]\]\n(#\w+ = .*\n)+", "", every, flags=re.MULTILINE)
    every = re.sub(r"^#(?=(\[policy\.sms\]|\[logging\]|\w+ = ))", "", every, flags=re.MULTILINE)
    assert msgspec.toml.decode(every, type=Config, dec_hook=to_path) == msgspec.toml.decode(
        shown, type=Config, dec_hook=to_path
    )


def to_path(type_: type[Path], value: str) -> Path:
    """Read a path."""
    return type_(value)


def settable(node: msgspec.inspect.Type) -> set[str]:
    """Return the names of all keys of a type and of what it holds."""
    found: set[str] = set()
    match node:
        case msgspec.inspect.StructType(fields=fields):
            for field in fields:
                found |= {field.encode_name} | settable(field.type)
        case msgspec.inspect.UnionType(types=types):
            for one in types:
                found |= settable(one)
        case msgspec.inspect.VarTupleType(item_type=item) | msgspec.inspect.Metadata(type=item):
            found |= settable(item)
        case _:
            pass
    return found - {"burst", "refill_seconds"}
