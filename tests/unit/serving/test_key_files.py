from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from serving.errors import KeyStoreError
from serving.key_files import KeyFiles, passphrase_in, passphrase_of, read_ed25519, write_key
from serving.settings import Keys

PASSPHRASE = b"correct horse battery staple"
NOT_ENCRYPTED = "is not encrypted; encrypt it with `openssl pkcs8 -topk8`, or "


@pytest.mark.parametrize("passphrase", [PASSPHRASE, None])
def test_a_key_that_was_kept_can_be_read(tmp_path: Path, passphrase: bytes | None) -> None:
    """Keys of both kinds come back the same, with a passphrase and without, and for their owner alone."""
    files = KeyFiles(tmp_path / "keys", passphrase)
    elliptic, edwards = ec.generate_private_key(ec.SECP384R1()), Ed25519PrivateKey.generate()
    files.write("b", elliptic)
    files.write("a", edwards)
    assert files.on_curve("b", ec.SECP256R1, ec.SECP384R1).private_numbers() == elliptic.private_numbers()
    assert files.ed25519("a").private_bytes_raw() == edwards.private_bytes_raw()
    assert files.names() == ("a", "b")
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").iterdir()} == {0o600}
    assert str(PASSPHRASE) not in repr(files)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    """The message names the kind that is wanted."""
    files = KeyFiles(tmp_path, None)
    files.write("elliptic", ec.generate_private_key(ec.SECP256R1()))
    files.write("edwards", Ed25519PrivateKey.generate())
    with pytest.raises(KeyStoreError, match=r"elliptic\.key is no Ed25519 key"):
        files.ed25519("elliptic")
    with pytest.raises(KeyStoreError, match=r"elliptic\.key is no key on P-384"):
        files.on_curve("elliptic", ec.SECP384R1)
    with pytest.raises(KeyStoreError, match=r"edwards\.key is no key on P-256 or P-384"):
        files.on_curve("edwards", ec.SECP256R1, ec.SECP384R1)


def test_what_to_do_about_a_lost_key_is_the_programs_to_say(tmp_path: Path) -> None:
    """One that is missing is restored, or what else its program knows."""
    with pytest.raises(KeyStoreError, match=r"is missing; restore it from your backup$"):
        KeyFiles(tmp_path, None).ed25519("a")
    with pytest.raises(KeyStoreError, match=r"is missing; make another$"):
        KeyFiles(tmp_path, None, lost="make another").ed25519("a")


@pytest.mark.parametrize(
    ("kept", "given", "told", "told_of_one_file"),
    [
        (PASSPHRASE, None, "is encrypted; set keys.unencrypted = false and", "is encrypted; give its passphrase"),
        (None, PASSPHRASE, f"{NOT_ENCRYPTED}set keys.unencrypted", f"{NOT_ENCRYPTED}give no passphrase"),
    ],
)
def test_encryption_is_what_the_operator_asked_for(
    tmp_path: Path, kept: bytes | None, given: bytes | None, told: str, told_of_one_file: str
) -> None:
    """Both mistakes are told with what to do: by setting where there is one, else by passphrase."""
    path = tmp_path / "a.key"
    write_key(path, Ed25519PrivateKey.generate(), kept)
    with pytest.raises(KeyStoreError, match=re.escape(told)):
        KeyFiles(tmp_path, given).ed25519("a")
    with pytest.raises(KeyStoreError, match=re.escape(told_of_one_file)):
        read_ed25519(path, given, lost="")


@pytest.mark.parametrize("content", [b"", b"\n", None])
def test_a_passphrase_file_must_hold_one(tmp_path: Path, content: bytes | None) -> None:
    """An empty or missing file is told before a key is tried."""
    path = tmp_path / "passphrase"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(KeyStoreError, match=r"passphrase file .* (is empty|cannot be read)"):
        passphrase_in(path)


def test_a_passphrase_comes_from_its_file_or_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first line of the file counts, else the variable; an opt-out needs neither."""
    (tmp_path / "passphrase").write_bytes(PASSPHRASE + b"\nremember: rotate in May\n")
    monkeypatch.setenv("A_WORD", "another")
    keys = Keys(passphrase_variable="A_WORD")
    assert passphrase_of(keys) == b"another"
    assert passphrase_of(Keys(passphrase_file=tmp_path / "passphrase", passphrase_variable="A_WORD")) == PASSPHRASE
    assert passphrase_of(Keys(unencrypted=True)) is None
    monkeypatch.setenv("A_WORD", "")
    with pytest.raises(KeyStoreError, match="set the environment variable A_WORD"):
        passphrase_of(keys)
