from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from ca_server.config import Authority, Config, Gateway, Keys
from ca_server.errors import ConfigurationError, KeyStoreError
from ca_server.signing.file_key_store import FileKeyStore
from ca_server.signing.loading import open_key_store
from policies.issuance import IssuancePolicy
from tests.peers import require

PASSPHRASE = b"correct horse battery staple"


def config_with(keys: Keys, folder: Path = Path()) -> Config:
    """Return an authority's settings with these of its keys."""
    gateways = (Gateway("g", "outbox", "o", "1"),)
    return Config("http://127.0.0.1", Authority("A", "B"), gateways, IssuancePolicy(), keys=keys, folder=folder)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()])
@pytest.mark.parametrize("passphrase", [PASSPHRASE, None])
def test_a_key_that_was_made_can_be_opened(tmp_path: Path, curve: ec.EllipticCurve, passphrase: bytes | None) -> None:
    """A key comes back the same, with a passphrase and without."""
    store = FileKeyStore(tmp_path / "keys", passphrase)
    made = store.create("issuing", curve)
    assert store.open("issuing").private_numbers() == made.private_numbers()
    assert store.names() == ("issuing",)


def test_a_key_is_its_owners_alone(tmp_path: Path) -> None:
    """The folder and the files are closed to everybody else, and no draft is left."""
    FileKeyStore(tmp_path / "keys", PASSPHRASE).create("issuing", ec.SECP256R1())
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert [(path.name, stat.S_IMODE(path.stat().st_mode)) for path in (tmp_path / "keys").iterdir()] == [
        ("issuing.key", 0o600)
    ]


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    """A name that is taken is refused, and the key that has it stays."""
    store = FileKeyStore(tmp_path, PASSPHRASE)
    first = store.create("issuing", ec.SECP256R1())
    with pytest.raises(KeyStoreError, match="never overwritten"):
        store.create("issuing", ec.SECP256R1())
    assert store.open("issuing").private_numbers() == first.private_numbers()
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.usefixtures("full_cost")
def test_a_key_is_encrypted_so_that_guessing_is_slow(tmp_path: Path) -> None:
    """The file is PKCS#8 under scrypt, not under the 2048 rounds that `cryptography` writes by itself."""
    FileKeyStore(tmp_path, PASSPHRASE).create("issuing", ec.SECP256R1())
    pem = (tmp_path / "issuing.key").read_text(encoding="ascii")
    assert pem.startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    assert max(map(len, pem.splitlines())) == 64


@pytest.mark.peer
@pytest.mark.usefixtures("full_cost")
def test_openssl_opens_an_encrypted_key(tmp_path: Path) -> None:
    """The operator is not tied to this program: OpenSSL reads the file with the same passphrase."""
    key = FileKeyStore(tmp_path, PASSPHRASE).create("root", ec.SECP384R1())
    shown = subprocess.run(
        [require("openssl", "openssl"), "pkey", "-in", tmp_path / "root.key", "-passin", "stdin", "-pubout"],
        input=PASSPHRASE,
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert serialization.load_pem_public_key(shown.stdout) == key.public_key()


def test_a_key_that_openssl_encrypted_opens(tmp_path: Path) -> None:
    """A key that was brought along under another PKCS#8 scheme opens as well."""
    key = ec.generate_private_key(ec.SECP256R1())
    encryption = serialization.BestAvailableEncryption(PASSPHRASE)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    write_key(tmp_path / "old.key", pem)
    assert FileKeyStore(tmp_path, PASSPHRASE).open("old").public_key() == key.public_key()


def test_a_wrong_passphrase_is_told_without_being_shown(tmp_path: Path) -> None:
    """The message names the file and never the passphrase."""
    FileKeyStore(tmp_path, PASSPHRASE).create("issuing", ec.SECP256R1())
    store = FileKeyStore(tmp_path, b"incorrect horse")
    with pytest.raises(KeyStoreError, match=r"issuing\.key does not open: the passphrase is wrong") as refused:
        store.open("issuing")
    assert "incorrect horse" not in f"{refused.value}{store!r}"


def test_encryption_is_what_the_operator_asked_for(tmp_path: Path) -> None:
    """An open key where a passphrase is set, and a closed one where none is, are both told with what to do."""
    FileKeyStore(tmp_path, None).create("open", ec.SECP256R1())
    FileKeyStore(tmp_path, PASSPHRASE).create("closed", ec.SECP256R1())
    with pytest.raises(KeyStoreError, match=r"is not encrypted; encrypt it with `openssl pkcs8 -topk8`"):
        FileKeyStore(tmp_path, PASSPHRASE).open("open")
    with pytest.raises(KeyStoreError, match=r"is encrypted; set keys\.unencrypted = false"):
        FileKeyStore(tmp_path, None).open("closed")


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """A key file open to every user of the machine says how to close it."""
    FileKeyStore(tmp_path, PASSPHRASE).create("issuing", ec.SECP256R1())
    (tmp_path / "issuing.key").chmod(0o644)
    with pytest.raises(KeyStoreError, match="run `chmod 600 "):
        FileKeyStore(tmp_path, PASSPHRASE).open("issuing")


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    """Junk gives this room's error."""
    write_key(tmp_path / "issuing.key", content)
    with pytest.raises(KeyStoreError, match="does not open"):
        FileKeyStore(tmp_path, None).open("issuing")


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP521R1()), ed25519.Ed25519PrivateKey.generate()])
def test_a_key_of_another_kind_is_refused(
    tmp_path: Path, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
) -> None:
    """Verifiers know P-256 and P-384 only."""
    encryption = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    write_key(tmp_path / "issuing.key", pem)
    with pytest.raises(KeyStoreError, match="is no key on P-256 or P-384"):
        FileKeyStore(tmp_path, None).open("issuing")


def test_a_key_is_made_on_a_curve_that_verifiers_know(tmp_path: Path) -> None:
    """Another curve is refused before a key is made."""
    with pytest.raises(KeyStoreError, match="on P-256 or P-384, not secp521r1"):
        FileKeyStore(tmp_path, None).create("issuing", ec.SECP521R1())


@pytest.mark.parametrize("name", ["", "../root", "a/b", ".hidden", "a" * 65, "ä", "a\n"])
def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    """Names are plain words."""
    with pytest.raises(KeyStoreError, match="a key is named with"):
        FileKeyStore(tmp_path, None).open(name)


def test_a_key_that_is_missing_says_what_to_do(tmp_path: Path) -> None:
    """A lost key is restored, or the authority made anew."""
    with pytest.raises(KeyStoreError, match=r"issuing\.key is missing; restore it from your backup"):
        FileKeyStore(tmp_path, None).open("issuing")


def test_files_in_the_way_are_told(tmp_path: Path) -> None:
    """A folder where the file should be, and a file where the folder should be, give this room's error."""
    (tmp_path / "issuing.key").mkdir()
    with pytest.raises(KeyStoreError, match="cannot be read"):
        FileKeyStore(tmp_path, None).open("issuing")
    (tmp_path / "file").touch()
    with pytest.raises(KeyStoreError, match="cannot be written"):
        FileKeyStore(tmp_path / "file" / "keys", None).create("issuing", ec.SECP256R1())


def test_the_store_takes_its_passphrase_from_a_file(tmp_path: Path) -> None:
    """The first line of the file, without its end, is the passphrase."""
    (tmp_path / "passphrase").write_bytes(PASSPHRASE + b"\nremember: rotate in May\n")
    FileKeyStore(tmp_path, PASSPHRASE).create("issuing", ec.SECP256R1())
    keys = Keys(directory=tmp_path, passphrase_file=tmp_path / "passphrase")
    open_key_store(config_with(keys)).open("issuing")


def test_the_store_takes_its_passphrase_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no file is named, the variable is read; an empty one is none."""
    FileKeyStore(tmp_path, PASSPHRASE).create("issuing", ec.SECP256R1())
    keys = Keys(directory=tmp_path, passphrase_variable="CA_WORD")
    monkeypatch.setenv("CA_WORD", PASSPHRASE.decode())
    open_key_store(config_with(keys)).open("issuing")
    monkeypatch.setenv("CA_WORD", "")
    with pytest.raises(KeyStoreError, match="set the environment variable CA_WORD"):
        open_key_store(config_with(keys))


def test_going_without_a_passphrase_is_said_by_name(tmp_path: Path) -> None:
    """`unencrypted = true` is the only way to have open keys."""
    open_key_store(config_with(Keys(directory=tmp_path, unencrypted=True))).create("issuing", ec.SECP256R1())
    assert b"BEGIN PRIVATE KEY" in (tmp_path / "issuing.key").read_bytes()


def test_an_outsiders_store_gets_its_options_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`module:attribute` is called with the options of the configuration and the folder that paths start from."""
    (tmp_path / "my_store.py").write_text(
        "def open_store(options, folder):\n"
        "    from ca_server.signing.file_key_store import FileKeyStore\n"
        "    return FileKeyStore(folder / options['where'], None)\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    keys = Keys(store="my_store:open_store", options={"where": "here"})
    key = open_key_store(config_with(keys, tmp_path)).create("issuing", ec.SECP256R1())
    assert (tmp_path / "here" / "issuing.key").is_file()
    key.sign(b"data", ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize("store", ["no_such_module_here:x", "json:no_such_store", ":x", "json:"])
def test_a_store_that_is_not_there_is_told(store: str) -> None:
    """The message says how a store is named, or where it must be installed."""
    with pytest.raises(
        ConfigurationError,
        match=r"keys\.store: .* cannot be imported: .*(module:attribute|installed)",
    ):
        open_key_store(config_with(Keys(store=store)))


def write_key(path: Path, content: bytes) -> None:
    """Write a file as a key's is: closed to others."""
    path.write_bytes(content)
    path.chmod(0o600)
