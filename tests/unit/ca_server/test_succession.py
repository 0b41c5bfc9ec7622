from __future__ import annotations

import dataclasses
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from falcon.testing import TestClient

from ca_server import checkup, issuing
from ca_server.app import create_authority, open_storage
from ca_server.config import Config
from ca_server.errors import ConfigurationError, KeyStoreError, Refusal
from ca_server.initialise import ISSUING_LIFE, NewAuthority, initialise
from ca_server.issuing import CertificateAuthority
from ca_server.issuing.revocation import CRL_REFRESH
from ca_server.loading import load_config
from ca_server.storage import Storage
from ca_server.succession import make_next
from ca_server.web import build_web
from stir.telephone_number import NumberPrefix, TelephoneNumber
from tests.fakes.authority import NOW, make_issuer
from tests.fakes.issuing_authority import IssuingAuthority

NEW = NewAuthority(
    name="Example CA",
    operator="Example Ltd",
    public_url="http://127.0.0.1:14000",
    passphrase=None,
    prefixes=(NumberPrefix.parse("+1202"), NumberPrefix.parse("+4420")),
    countries=("US",),
    gateway="outbox",
)
LATER = NOW + timedelta(days=1000)


def later() -> datetime:
    """Return a time at which the first issuing certificate has a few months left."""
    return LATER


def changed(path: Path, key: str, former: str = '[{ certificate = "issuing.pem", key = "issuing" }]') -> Config:
    """Do with the settings what `ca keys next` tells the operator, and read them."""
    text = path.read_text(encoding="utf-8")
    for name, value in (("certificate", f'"{key}.pem"'), ("key", f'"{key}"'), ("former", former)):
        text = re.sub(rf"^#?{name} = .*$", f"{name} = {value}", text, count=1, flags=re.MULTILINE)
    path.write_text(text, encoding="utf-8")
    return load_config(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the settings of an authority that was made three years ago."""
    return initialise(tmp_path / "ca", NEW, lambda: NOW).config


def test_the_next_certificate_takes_the_place_of_the_first(path: Path) -> None:
    """It is under the same anchor and for the same numbers, and the settings that are told work."""
    before = load_config(path)
    made = make_next(before, None, None, later)
    assert (made.key, made.file.name, made.former_key) == ("issuing-2028", "issuing-2028.pem", "issuing")
    assert (made.certificate.common_name, made.certificate.path_length) == ("Example CA Issuing 2028", 0)
    assert made.certificate.not_after == LATER + ISSUING_LIFE
    old, new = create_authority(before, clock=later), create_authority(changed(path, made.key), clock=later)
    assert new.issuer.chain == old.issuer.chain
    assert [one.id for one in new.former] == [old.issuer.id]
    assert new.issuer.covers(TelephoneNumber("442079460123"))
    assert not new.issuer.covers(TelephoneNumber("13015550123"))
    roles = [(one.role, one.key, one.is_here) for one in checkup.authority_keys(load_config(path))]
    assert roles == [("issuing", "issuing-2028", True), ("anchor", "root", True), ("former", "issuing", True)]
    assert [one.name for one in checkup.check(path, LATER) if not one.is_ok] == []


def test_two_of_one_year_have_two_names(path: Path) -> None:
    """Verifiers find an issuer by its name first, so no two have one."""
    made = make_next(load_config(path), "again", None, lambda: NOW)
    assert made.certificate.common_name == f"Example CA Issuing {NOW:%Y-%m-%d}"
    with pytest.raises(ConfigurationError, match="exists already; choose another --name"):
        make_next(load_config(path), "again", None, later)
    with pytest.raises(ConfigurationError, match="letters, digits"):
        make_next(load_config(path), "../again", None, later)


def test_the_roots_key_is_brought_for_the_occasion(path: Path, tmp_path: Path) -> None:
    """Where it is not with the others, its folder is named; without it, and with another's, nothing is made."""
    elsewhere = tmp_path / "medium"
    elsewhere.mkdir(mode=0o700)
    key = path.parent / "keys" / "root.key"
    key.rename(elsewhere / "root.key")
    with pytest.raises(KeyStoreError, match="name its folder with --root-keys"):
        make_next(load_config(path), None, None, later)
    other = initialise(tmp_path / "other", NEW, lambda: NOW)
    with pytest.raises(KeyStoreError, match="is not that of"):
        make_next(load_config(path), None, other.keys, later)
    assert sorted(file.name for file in key.parent.iterdir()) == ["issuing.key"]
    assert make_next(load_config(path), None, elsewhere, later).file.is_file()


def test_an_anchor_that_issues_has_no_next(path: Path) -> None:
    """Nobody is above it to sign for another."""
    text = path.read_text(encoding="utf-8").replace('"issuing.pem"', '"root.pem"', 1).replace('["root.pem"]', "[]", 1)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="has nobody above it"):
        make_next(load_config(path), None, None, later)


def test_what_cannot_be_made_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be written, and a root that has ended, stop it in words."""
    config = load_config(path)
    with pytest.raises(ConfigurationError, match="the next issuing certificate cannot be made"):
        make_next(config, "late", None, lambda: NOW + timedelta(days=8000))
    assert not (path.parent / "keys" / "late.key").exists()
    write = Path.open

    def full(file: Path, mode: str = "r", **settings: Any) -> Any:  # noqa: ANN401 - as Path.open
        if mode == "xb":
            raise OSError(28, "No space left on device")
        return write(file, mode, **settings)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(ConfigurationError, match="cannot be written: No space"):
        make_next(config, "full", None, later)


def test_a_former_issuer_needs_its_key_until_it_ends(path: Path) -> None:
    """Without the key its CRLs could not be signed; once its certificate has ended, neither is looked at."""
    made = make_next(load_config(path), None, None, later)
    config = changed(path, made.key)
    (path.parent / "keys" / "issuing.key").unlink()
    with pytest.raises(KeyStoreError, match=r"authority\.former\[0\]: .*issuing\.key"):
        create_authority(config, clock=later)
    assert create_authority(config, clock=lambda: NOW + timedelta(days=1200)).former == ()
    with pytest.raises(ConfigurationError, match=r"authority\.former\[0\]\.certificate"):
        create_authority(changed(path, made.key, '[{ certificate = "no.pem", key = "issuing" }]'), clock=later)


def test_a_former_issuer_that_the_settings_do_not_name_is_warned_of(path: Path) -> None:
    """As long as its certificates are valid: they could be revoked, and no list would tell."""
    storage = open_storage(load_config(path))
    authority = IssuingAuthority(storage)
    certificate = authority.issue(authority.client())
    issuing.refresh_crls(authority.ca)
    storage.close()
    for now, is_told in ((NOW, True), (certificate.not_after, False)):
        (found,) = (one for one in checkup.check(path, now) if one.name == "database")
        assert found.is_ok
        assert (f"not in the settings ({authority.ca.issuer.id})" in found.warning) == is_told


@pytest.fixture
def succeeded(storage: Storage) -> tuple[IssuingAuthority, CertificateAuthority]:
    """Return an authority, and the same one after its issuing certificate was changed."""
    authority = IssuingAuthority(storage)
    old = authority.ca
    new = make_issuer(old.config.public_url, crl_shards=old.config.authority.crl_shards)
    return authority, dataclasses.replace(old, issuer=new, former=(old.issuer,))


def test_a_certificate_of_a_former_issuer_is_revoked_in_its_crl(
    succeeded: tuple[IssuingAuthority, CertificateAuthority],
) -> None:
    """The CRL that the certificate names is signed at once, by its issuer's key; those of the new one tell nothing."""
    authority, ca = succeeded
    client = authority.client()
    certificate = authority.issue(client)
    issuing.revoke(ca, certificate.der, 1, client.account)
    old, new = (
        x509.load_der_x509_crl(issuing.crl(ca, certificate.shard, one.id).der) for one in (*ca.former, ca.issuer)
    )
    assert old.get_revoked_certificate_by_serial_number(certificate.serial) is not None
    assert old.is_signature_valid(ca.former[0].key.public_key())
    assert new.get_revoked_certificate_by_serial_number(certificate.serial) is None
    with pytest.raises(Refusal):
        issuing.crl(ca, 0, "0123456789abcdef")


def test_the_crls_of_a_former_issuer_are_signed_anew_until_it_ends(
    succeeded: tuple[IssuingAuthority, CertificateAuthority],
) -> None:
    """Each hour, as those of the present one; after the end of its certificate there is nobody left to tell."""
    authority, ca = succeeded
    shards = ca.issuer.crl_shards
    assert issuing.refresh_crls(ca) == 2 * shards
    assert issuing.refresh_crls(ca) == 0
    authority.clock.advance(seconds=CRL_REFRESH.total_seconds())
    assert issuing.refresh_crls(ca) == 2 * shards
    ended = dataclasses.replace(ca, former=(make_issuer(ca.config.public_url, lifetime=timedelta(minutes=1)),))
    authority.clock.advance(seconds=CRL_REFRESH.total_seconds())
    assert issuing.refresh_crls(ended) == shards


def test_a_former_issuers_certificate_and_crls_are_served(
    succeeded: tuple[IssuingAuthority, CertificateAuthority],
) -> None:
    """The URLs that stand in certificates go on working."""
    _, ca = succeeded
    client = TestClient(build_web(ca))
    for issuer in ca.issuers:
        served = client.simulate_get(f"/issuer/{issuer.id}.der")
        assert served.content == issuer.certificate_der
        assert client.simulate_get(f"/crl/{issuer.id}/0.crl").status_code == 200
    assert client.simulate_get("/issuer/0123456789abcdef.der").status_code == 404
    assert client.simulate_get("/crl/0123456789abcdef/0.crl").status_code == 404
