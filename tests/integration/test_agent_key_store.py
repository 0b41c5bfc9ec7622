from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from ca_server.config import Authority, Config, Gateway, Keys
from ca_server.errors import KeyStoreError
from ca_server.loading import load_config
from ca_server.signing.key_store import KeyStore
from ca_server.signing.loading import open_issuer, open_key_store
from policies.issuance import IssuancePolicy
from stir.certificate_chain import write_pem_chain
from stir.telephone_number import TelephoneNumber
from tests.fakes.authority import NOW, make_authority_certificate, make_issuance

SETTINGS = """
public_url = "https://ca.example"

[authority]
name = "Example CA"
operator = "Example Ltd"

[keys]
store = "agent_key_store:open_store"
options = { socket = "agent.sock" }

[server]
trusted_proxies = ["127.0.0.1"]

[[gateways]]
name = "first"
type = "outbox"
operator = "One"
sender = "12025550100"

[policy]
"""
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Return settings that name the example, as an operator writes them."""
    monkeypatch.syspath_prepend(EXAMPLES)
    return Config(
        public_url="https://ca.example",
        authority=Authority("A", "B", tmp_path / "issuing.pem", (tmp_path / "root.pem",)),
        gateways=(Gateway("g", "outbox", "o", "1"),),
        policy=IssuancePolicy(),
        keys=Keys(store="agent_key_store:open_store", options={"socket": "agent.sock"}),
        folder=tmp_path,
    )


@pytest.fixture
def store(config: Config) -> Iterator[KeyStore]:
    """Return the example's store, its agent listening."""
    import agent_key_store  # type: ignore[import-not-found]  # noqa: PLC0415  # an operator's module, found by path

    with agent_key_store.Agent(config.folder / "agent.sock") as agent:
        thread = threading.Thread(target=agent.serve_forever, args=(0.01,))
        thread.start()
        yield open_key_store(config)
        agent.shutdown()
        thread.join()


def test_an_authority_issues_with_a_key_that_it_never_sees(config: Config, store: KeyStore, tmp_path: Path) -> None:
    """The documented example makes a key elsewhere, signs certificates and CRLs with it, and all of it verifies."""
    root_key = store.create("root", ec.SECP384R1())
    root = make_authority_certificate("Root", root_key)
    issuing = make_authority_certificate("Issuing", store.create("issuing", ec.SECP256R1()), (root, root_key))
    (tmp_path / "root.pem").write_bytes(write_pem_chain((root,)))
    (tmp_path / "issuing.pem").write_bytes(write_pem_chain((issuing,)))
    issuer = open_issuer(config)
    number, key = TelephoneNumber("12025550123"), ec.generate_private_key(ec.SECP256R1()).public_key()
    leaf = issuer.sign_certificate(number, key, make_issuance())
    leaf.verify_directly_issued_by(issuing)
    assert issuer.sign_certificate(number, key, make_issuance()) == leaf
    crl = x509.load_der_x509_crl(issuer.sign_crl(0, 1, NOW, NOW.replace(hour=23), ()))
    assert crl.is_signature_valid(issuing.public_key())  # type: ignore[arg-type]  # an authority's key is of this kind


def test_the_agent_gives_no_key_away(store: KeyStore) -> None:
    """Whatever is asked of the key but to sign, it refuses, so that nothing can leak it."""
    key = store.create("issuing", ec.SECP256R1())
    assert copy.deepcopy(key) is copy.copy(key) is key
    assert key.key_size == 256
    with pytest.raises(KeyStoreError, match="signs data and does nothing else"):
        key.private_numbers()
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with pytest.raises(KeyStoreError, match="signs data and does nothing else"):
        key.private_bytes(*form)
    with pytest.raises(KeyStoreError, match="signs data and does nothing else"):
        key.exchange(ec.ECDH(), key.public_key())
    with pytest.raises(KeyStoreError, match="signs data and does nothing else"):
        key.sign(b"", ec.ECDSA(Prehashed(hashes.SHA256())))


def test_the_store_keeps_the_rules_of_a_key_store(store: KeyStore) -> None:
    """A name that is taken is never overwritten, and a missing key says so (`ca_server.signing.key_store`)."""
    store.create("issuing", ec.SECP256R1())
    with pytest.raises(KeyStoreError, match="never overwritten"):
        store.create("issuing", ec.SECP256R1())
    with pytest.raises(KeyStoreError, match="there is no key 'other' here"):
        store.open("other")


def test_an_agent_that_is_away_is_told(config: Config) -> None:
    """Without its agent the store gives this room's error, and says what to look at."""
    with pytest.raises(KeyStoreError, match="does not answer; is it running"):
        open_key_store(config).open("issuing")


def test_the_documented_lines_make_an_authority(
    store: KeyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page's own code, run as it stands, makes keys in the store and certificates that load as a chain."""
    page = Path(__file__).parents[2] / "docs" / "how-to" / "key-store.md"
    code = page.read_text(encoding="utf-8").rpartition("```python\n")[2].partition("```")[0]
    (tmp_path / "ca.toml").write_text(SETTINGS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(page), "exec"), {"__name__": "page"})  # noqa: S102  # the documentation is what is tested
    issuer = open_issuer(load_config(tmp_path / "ca.toml"))
    assert issuer.key.public_key() == store.open("issuing").public_key()
    assert [certificate.subject for certificate in issuer.chain] == [issuer.certificate.issuer]
