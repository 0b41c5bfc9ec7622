from __future__ import annotations

import os
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from serving.key_files import passphrase_in
from stir.certificate_chain import write_pem_chain
from tests.fakes.log_world import NOW, Authority
from tests.peers import require
from transparency.cosignature import Ed25519Cosigner
from transparency.log_description import LogDescription
from transparency.server.app import create_log
from transparency.server.config import LogConfig, Witness
from transparency.server.errors import ConfigurationError, KeyStoreError
from transparency.server.initialise import NewLog, add_shard, half_year, halves_of_year_from, initialise
from transparency.server.keys import KeyStore, open_key_store
from transparency.server.loading import load_config

ORIGIN = "log.example/2026h2"


@pytest.fixture
def issuer(tmp_path: Path, authority: Authority) -> Path:
    """Return the file of an authority's certificate."""
    path = tmp_path / "issuer.pem"
    path.write_bytes(write_pem_chain((authority.issuing,)))
    return path


def new_log(issuer: Path, **changes: object) -> NewLog:
    """Return what an operator decides, changed."""
    given = {
        "name": 'Example "Log"',
        "operator": "Example Operator",
        "url": "http://127.0.0.1:14100",
        "admit": (issuer,),
        "passphrase": None,
    }
    return NewLog(**(given | changes))  # type: ignore[arg-type]


def test_a_new_log_is_whole(tmp_path: Path, issuer: Path) -> None:
    """What init makes can be served at once, and log.json describes it."""
    made = initialise(tmp_path / "log", new_log(issuer), NOW)
    config = load_config(made.config)
    log = create_log(config)
    assert log.describe() == LogDescription.from_json(made.description_file.read_bytes()) == made.description
    assert list(log.shards) == ["2026h2", "2027h1", "2027h2"]
    assert config.name == 'Example "Log"'
    log.storage.close()


def test_a_new_log_takes_an_empty_folder_only(tmp_path: Path, issuer: Path) -> None:
    """Nothing is overwritten, and a failure leaves nothing behind."""
    folder = tmp_path / "log"
    folder.mkdir()
    bad = tmp_path / "bad.pem"
    bad.write_bytes(b"x")
    with pytest.raises(ConfigurationError, match="does not hold just the certificate"):
        initialise(folder, new_log(bad), NOW)
    assert list(folder.iterdir()) == []
    initialise(folder, new_log(issuer), NOW)
    with pytest.raises(ConfigurationError, match="not empty"):
        initialise(folder, new_log(issuer), NOW)
    with pytest.raises(ConfigurationError, match="https"):
        initialise(tmp_path / "other", new_log(issuer, url="http://log.example"), NOW)
    assert not (tmp_path / "other").exists()


def test_the_first_shards_cover_twelve_months() -> None:
    """Whatever the day, a certificate that expires within a year has its shard, and the shards join."""
    for month in range(1, 13):
        now = datetime(2026, month, 28, tzinfo=UTC)
        shards = halves_of_year_from(now)
        assert shards[0].not_after_start <= now
        assert shards[-1].not_after_limit >= now.replace(year=2027)
        assert [one.not_after_limit for one in shards[:-1]] == [one.not_after_start for one in shards[1:]]


@pytest.mark.parametrize("name", ["2027h3", "2027", "1999h1", "h1", "2027H1", "2027h1 "])
def test_a_shard_is_named_after_a_half_year(name: str) -> None:
    """Other names are refused with an example."""
    with pytest.raises(ConfigurationError, match="2027h1"):
        half_year(name)


def test_a_shard_is_added(tmp_path: Path, issuer: Path) -> None:
    """A new shard stands in the settings and in log.json; the others stay as they are."""
    made = initialise(tmp_path / "log", new_log(issuer), NOW)
    description = add_shard(made.config, "2028h1")
    assert description.shards[:3] == made.description.shards
    assert LogDescription.from_json(made.description_file.read_bytes()) == description
    assert load_config(made.config).shards[-1].name == "2028h1"
    with pytest.raises(ConfigurationError, match="would begin before"):
        add_shard(made.config, "2026h1")


_WITNESS = '[[witnesses]]\noperator = "Library"\nurl = "{url}"\nkeys = ["{key}"]\n'
_KEY = Ed25519Cosigner("w.example/w1", Ed25519PrivateKey.from_private_bytes(bytes(32))).verifier.format()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('url = "http://127.0.0.1:14100"', 'url = "http://127.0.0.1:14100/"', "without a slash"),
        ('url = "http://127.0.0.1:14100"', 'url = "http://log.example"', "this machine only"),
        ('url = "http://127.0.0.1:14100"', 'url = "https://log.example"', "trusted_proxies"),
        ('bind = "127.0.0.1:14100"', 'bind = "0.0.0.0:80"', "plain HTTP"),
        ('bind = "127.0.0.1:14100"', 'bind = "nowhere"', "address and a port"),
        ('database = "sqlite:///log.db"', 'database = "mysql://x"', "sqlite:///log.db"),
        ('type = "files"', 'type = "s3"', "name the bucket"),
        ('type = "files"', 'type = "ftp"', "allowed are"),
        ('name = "2027h1"', 'name = "2026h2"', "same name"),
        ("not_after_limit = 2027-07-01T00:00:00Z", "not_after_limit = 2027-08-01T00:00:00Z", "overlap"),
        ("not_after_limit = 2027-07-01T00:00:00Z", "not_after_limit = 2026-07-01T00:00:00Z", "no time between"),
        ("admit = [", 'admit = ["missing.pem", ', "cannot be read"),
        ("[retention]", "[retention]\nyears = 1", "no such key"),
        ("#quorum = 0", "quorum = 1", "have 0 operators"),
        ("#[[witnesses]]", _WITNESS.format(url="http://w.example", key=_KEY), "this machine only"),
        ("#[[witnesses]]", _WITNESS.format(url="https://w.example/", key=_KEY), "no slash at the end"),
        ("#[[witnesses]]", _WITNESS.format(url="https://w.example", key="w1"), "witnesses[0].keys: "),
        ("#[[witnesses]]", 2 * _WITNESS.format(url="https://w.example", key=_KEY), "no other witness has it"),
    ],
)
def test_a_mistake_in_the_settings_is_named(tmp_path: Path, issuer: Path, old: str, new: str, said: str) -> None:
    """Each mistake is told with the file, the key and what to write."""
    made = initialise(tmp_path / "log", new_log(issuer), NOW)
    text = made.config.read_text()
    assert old in text
    made.config.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigurationError, match=re.escape(said)) as caught:
        load_config(made.config)
    assert str(made.config) in str(caught.value)


def test_every_setting_stands_in_the_commented_file(tmp_path: Path, issuer: Path) -> None:
    """Each key of the settings' types is named in what init writes, so that nobody needs to guess."""
    text = initialise(tmp_path / "log", new_log(issuer), NOW).config.read_text()
    reference = (Path(__file__).parents[4] / "docs/reference/log-configuration.md").read_text()
    for struct in [
        LogConfig,
        Witness,
        *(
            getattr(LogConfig(name="x", operator="x", url="https://x", admit=(), shards=()), one).__class__
            for one in ("server", "keys", "publishing", "sequencing", "retention", "owner", "witnessing", "logging")
        ),
    ]:
        for name in struct.__struct_fields__:
            assert re.search(rf"^#?(\[+([a-z]+\.)?)?{name}\b", text, re.MULTILINE), name
            assert f"`{name}`" in reference or f"`[{name}]`" in reference or f"`[[{name}]]`" in reference, name


def test_keys_are_encrypted_and_open_again(tmp_path: Path) -> None:
    """Under a passphrase the keys of a shard open as they were made, and without it not."""
    store = KeyStore(tmp_path / "keys", b"correct horse")
    made = store.create("2026h2", ORIGIN)
    opened = store.open("2026h2", ORIGIN)
    assert (opened.log_id, opened.vrf.public_key, opened.checkpoint.verifier) == (
        made.log_id,
        made.vrf.public_key,
        made.checkpoint.verifier,
    )
    assert b"ENCRYPTED" in store.path("2026h2", "vrf").read_bytes()
    for passphrase, said in ((b"wrong", "does not open"), (None, "is encrypted")):
        with pytest.raises(KeyStoreError, match=said):
            KeyStore(tmp_path / "keys", passphrase).open("2026h2", ORIGIN)
    assert "correct horse" not in repr(store)
    assert repr(opened).count("seed") == 0


def test_open_keys_are_an_opt_out(tmp_path: Path) -> None:
    """A key in an open file is refused where a passphrase is expected."""
    KeyStore(tmp_path, None).create("a", "log.example/a")
    with pytest.raises(KeyStoreError, match="is not encrypted"):
        KeyStore(tmp_path, b"x").open("a", "log.example/a")


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    """A shard's keys are made once."""
    store = KeyStore(tmp_path, None)
    store.create("a", "log.example/a")
    with pytest.raises(KeyStoreError, match="never overwritten"):
        store.create("a", "log.example/a")


def test_keys_that_others_can_read_are_refused(tmp_path: Path) -> None:
    """A key file is for its owner's eyes."""
    store = KeyStore(tmp_path, None)
    store.create("a", "log.example/a")
    store.path("a", "sct").chmod(0o644)
    with pytest.raises(KeyStoreError, match="chmod 600"):
        store.open("a", "log.example/a")


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    """Each key is of the kind that its use asks for, and none may be missing."""
    store = KeyStore(tmp_path, None)
    store.create("a", "log.example/a")
    other = ec.generate_private_key(ec.SECP384R1())
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for kind, said in (("sct", "no key on P-256"), ("checkpoint", "no Ed25519"), ("vrf", "no Ed25519")):
        path = store.path("a", kind)
        kept = path.read_bytes()
        path.write_bytes(pem)
        with pytest.raises(KeyStoreError, match=said):
            store.open("a", "log.example/a")
        path.unlink()
        with pytest.raises(KeyStoreError, match="missing"):
            store.open("a", "log.example/a")
        path.write_bytes(kept)
        path.chmod(0o600)


def test_the_passphrase_comes_from_file_or_environment(
    config: LogConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first line of the file counts, else the variable; without either the operator is told what to set."""
    file = tmp_path / "passphrase"
    file.write_text("secret\nmore\n")
    assert passphrase_in(file) == b"secret"
    locked = msgspec.structs.replace(config.keys, unencrypted=False)
    with pytest.raises(KeyStoreError, match="ANSWERBACK_LOG_PASSPHRASE"):
        open_key_store(locked)
    monkeypatch.setitem(os.environ, "ANSWERBACK_LOG_PASSPHRASE", "secret")
    assert open_key_store(locked).passphrase == b"secret"
    assert open_key_store(msgspec.structs.replace(locked, passphrase_file=file)).passphrase == b"secret"


@pytest.mark.peer
def test_openssl_opens_our_keys(tmp_path: Path) -> None:
    """Encrypted Ed25519 and P-256 keys are PKCS#8 that OpenSSL reads (RFC 5958, RFC 8410)."""
    openssl = require("openssl", "openssl")
    store = KeyStore(tmp_path, b"secret")
    store.create("a", "log.example/a")
    for kind in ("sct", "checkpoint", "vrf"):
        path = str(store.path("a", kind))
        done = subprocess.run(
            [openssl, "pkey", "-in", path, "-passin", "pass:secret", "-noout", "-text"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert ("ED25519" if kind != "sct" else "P-256") in done.stdout
