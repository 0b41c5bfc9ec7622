"""A witness as its operator makes, sets and opens it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from serving.errors import ServingError
from serving.settings import Address, Tls
from tests.fakes.log_simulator import ORIGIN, LogSimulator
from transparency.add_checkpoint import Submission, decode_signatures
from transparency.cosignature import parse_cosignature_key
from transparency.signed_note import Note
from transparency.witness.config import Server, WitnessConfig
from transparency.witness.cosigning import open_witness
from transparency.witness.errors import ConfigurationError, KeyStoreError, StateError
from transparency.witness.initialise import initialise
from transparency.witness.keys import create_key, create_ml_dsa_44_key, open_key

NAME = "witness.example/w1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a witness."""
    initialise(tmp_path / "w", NAME, None)
    return tmp_path / "w"


def configured(folder: Path, text: str) -> WitnessConfig:
    """Add to a witness's settings, and read them."""
    path = folder / "witness.toml"
    path.write_text(f"{path.read_text()}\n{text}\n")
    return WitnessConfig.load(path)


def test_a_new_witness_opens(tmp_path: Path) -> None:
    """Key, memory and settings belong together, and nobody else may read the key."""
    made = initialise(tmp_path / "w", NAME, None)
    assert parse_cosignature_key(made.verifier_key).name == NAME
    config = WitnessConfig.load(made.config)
    witness = open_witness(config, None)
    assert witness.cosigner.verifier.format() == made.verifier_key
    assert (witness.logs, witness.latest()) == ({}, {})
    witness.close()
    for path in (config.key_path, config.database_path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_witness_is_never_made_over_another(folder: Path) -> None:
    """Neither settings nor a key or a memory that is there is overwritten."""
    with pytest.raises(ConfigurationError, match="there is a witness already"):
        initialise(folder, NAME, None)
    (folder / "witness.toml").unlink()
    with pytest.raises(KeyStoreError, match="never overwritten"):
        initialise(folder, NAME, None)


@pytest.mark.parametrize("name", ["", "two words", "a+b", "x" * 256])
def test_a_name_that_no_line_can_hold_leaves_nothing(tmp_path: Path, name: str) -> None:
    """The witness is not made, and its folder can be used again."""
    with pytest.raises(ConfigurationError, match=r"witness\.example/w1"):
        initialise(tmp_path / "w", name, None)
    assert list((tmp_path / "w").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A file where the folder should be is named."""
    (tmp_path / "w").write_text("")
    with pytest.raises(ConfigurationError):
        initialise(tmp_path / "w", NAME, None)


def test_a_lost_memory_stops_the_witness(folder: Path) -> None:
    """With the key alone, a witness does not begin anew."""
    (folder / "witness.db").unlink()
    with pytest.raises(StateError, match="must not go on"):
        open_witness(WitnessConfig.load(folder / "witness.toml"), None)


def test_a_key_may_be_under_a_passphrase(tmp_path: Path) -> None:
    """Without the passphrase, or with another, it does not open."""
    made = initialise(tmp_path / "w", NAME, b"correct horse")
    config = WitnessConfig.load(made.config)
    open_witness(config, b"correct horse").close()
    for wrong in (None, b"wrong horse"):
        with pytest.raises(KeyStoreError, match="passphrase"):
            open_witness(config, wrong)


@pytest.mark.parametrize("passphrase", [None, b"correct horse"])
def test_a_witness_may_cosign_with_a_second_key(tmp_path: Path, passphrase: bytes | None) -> None:
    """C2SP tlog-cosignature: one answer brings a line of Ed25519 and one of ML-DSA-44, each right by its own key."""
    made = initialise(tmp_path / "w", NAME, passphrase, ml_dsa_44=True)
    log = LogSimulator()
    log.fill(3)
    log.publish()
    (tmp_path / "w" / "log.json").write_bytes(log.description.to_json())
    config = configured(tmp_path / "w", '[[logs]]\ndescription = "log.json"')
    witness = open_witness(config, passphrase)
    assert witness.verifier_keys == made.verifier_keys
    note = Note.parse(log.files["checkpoint"])
    cosigned = note.with_signatures(decode_signatures(witness.add_checkpoint(Submission(0, (), note).to_bytes())))
    for key in map(parse_cosignature_key, made.verifier_keys):
        (line,) = cosigned.verified_by([key])
        assert line.name == NAME
    assert witness.latest()[ORIGIN].note == cosigned
    witness.close()
    assert config.ml_dsa_44_key_path is not None
    assert stat.S_IMODE(config.ml_dsa_44_key_path.stat().st_mode) == 0o600


def test_a_memory_belongs_to_both_keys(tmp_path: Path) -> None:
    """A witness whose second key was taken away, exchanged or damaged does not go on with the memory."""
    made = initialise(tmp_path / "w", NAME, None, ml_dsa_44=True)
    text = made.config.read_text()
    made.config.write_text(text.replace("ml_dsa_44_key", "# ml_dsa_44_key"))
    with pytest.raises(StateError, match="another key"):
        open_witness(WitnessConfig.load(made.config), None)
    made.config.write_text(text)
    path = tmp_path / "w" / "witness-ml-dsa-44.key"
    path.unlink()
    with pytest.raises(KeyStoreError, match="is missing"):
        open_witness(WitnessConfig.load(made.config), None)
    create_key(path, None)
    with pytest.raises(KeyStoreError, match="no ML-DSA-44 key"):
        open_witness(WitnessConfig.load(made.config), None)
    path.unlink()
    create_ml_dsa_44_key(path, None)
    with pytest.raises(StateError, match="another key"):
        open_witness(WitnessConfig.load(made.config), None)


def test_where_no_such_key_can_be_made_nothing_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older `cryptography` is told, and no half of a witness is left."""

    def unsupported() -> None:
        raise UnsupportedAlgorithm("ML-DSA")

    monkeypatch.setattr("transparency.witness.keys.MLDSA44PrivateKey.generate", unsupported)
    with pytest.raises(KeyStoreError, match="no ML-DSA-44 keys"):
        initialise(tmp_path / "w", NAME, None, ml_dsa_44=True)
    assert list((tmp_path / "w").iterdir()) == []


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """So are one that is missing and one of another kind."""
    path = tmp_path / "key"
    with pytest.raises(KeyStoreError, match="log witness init"):
        open_key(path, None)
    create_key(path, None)
    path.chmod(0o644)
    with pytest.raises(KeyStoreError, match="chmod 600"):
        open_key(path, None)
    path.chmod(0o600)
    other = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(KeyStoreError, match="no Ed25519 key"):
        open_key(path, None)


def test_logs_are_known_by_description_or_by_key(folder: Path) -> None:
    """Each shard of a description is a log to the witness; keys of one origin add up."""
    log = LogSimulator()
    (folder / "log.json").write_bytes(log.description.to_json())
    key = log.signer.verifier.format()
    config = configured(
        folder,
        f'[[logs]]\ndescription = "log.json"\n[[logs]]\norigin = "{ORIGIN}"\nkeys = ["{key}"]\n'
        f'[[logs]]\norigin = "other.example"\nkeys = ["{key}"]',
    )
    known = config.known_logs()
    assert {origin: len(keys) for origin, keys in known.items()} == {ORIGIN: 2, "other.example": 1}


@pytest.mark.parametrize(
    "entry",
    [
        "",
        'origin = "log.example"',
        'description = "log.json"\norigin = "log.example"',
        'description = "missing.json"',
        'description = "witness.toml"',
        'origin = "log.example"\nkeys = ["nothing"]',
    ],
)
def test_a_log_that_is_half_described_is_refused(folder: Path, entry: str) -> None:
    """The message says which entry of the settings is meant."""
    with pytest.raises(ConfigurationError, match="logs, entry 1"):
        configured(folder, f"[[logs]]\n{entry}").known_logs()


@pytest.mark.parametrize("text", ["unknown = 1", "[[logs]]\ndescription = 1", "[[logs]", '[[logs]]\nkeys = "x"'])
def test_settings_that_cannot_be_read_are_refused(folder: Path, text: str) -> None:
    """With the file's name."""
    with pytest.raises(ConfigurationError, match=r"witness\.toml"):
        configured(folder, text)


def test_settings_that_are_missing_are_refused(tmp_path: Path) -> None:
    """The message says how to make some."""
    with pytest.raises(ConfigurationError, match="witness init"):
        WitnessConfig.load(tmp_path / "witness.toml")


@pytest.mark.parametrize(
    ("bind", "address"),
    [
        ("127.0.0.1:14200", ("127.0.0.1", 14200)),
        ("[::1]:0", ("::1", 0)),
        ("localhost:80", ("localhost", 80)),
    ],
)
def test_a_witness_listens_on_this_machine(bind: str, address: tuple[str, int]) -> None:
    """By IPv4, IPv6 or name."""
    assert Server(bind=bind).address == Address(*address)


@pytest.mark.parametrize("bind", ["127.0.0.1", "127.0.0.1:65536", "127.0.0.1:x", "host.example:1", ":1", "[::1]"])
def test_an_address_that_is_none_is_refused(bind: str) -> None:
    """The message shows the form."""
    with pytest.raises(ConfigurationError, match="is not an address and a port"):
        _ = Server(bind=bind).address


def test_beyond_this_machine_tls_is_asked_for(tmp_path: Path) -> None:
    """With TLS, any address will do."""
    with pytest.raises(ServingError, match="TLS"):
        _ = Server(bind="192.0.2.1:443").address
    assert Server(bind="192.0.2.1:443", tls=Tls(tmp_path, tmp_path)).address == Address("192.0.2.1", 443)


def test_the_paths_of_tls_start_from_the_settings(folder: Path) -> None:
    """As every other path does, wherever the command is run."""
    path = folder / "witness.toml"
    path.write_text(path.read_text().replace("# tls =", "tls ="))
    assert WitnessConfig.load(path).server.tls == Tls(folder / "tls.pem", folder / "tls.key")
