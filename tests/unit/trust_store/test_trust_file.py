from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.precedence import LayerKind, effective
from policies.terms import KeyType, Purpose, RevocationMode, Settings, Terms
from stir.telephone_number import NumberPrefix, TelephoneNumber
from stir.validation_method import ValidationMethod
from tests.fakes.sealed_log import SealedLog, logged, witness
from tests.fakes.small_pki import NOW, STRANGER, Authority, Held
from trust_store import Outcome, Rule, TrustedLog, TrustHome, TrustStore, TrustStoreError
from trust_store.editing import add_anchor, add_log
from trust_store.errors import TrustFileError
from trust_store.loading import load
from trust_store.trust_file import Beliefs, parse, read

PATH = Path("folder") / "trust.toml"
SHA = "ab" * 32
WITNESS = witness()
OTHER_SHA = "cd" * 32
FULL = f"""\
[settings]
revocation = "required"
call_seconds = 30
message_seconds = 3600
skew_seconds = 0
scts = 1
proofs = 2
witnesses = 3

[[anchor]]
name = "example-ca"
operator = "Example Ltd"
sha256 = "{SHA}"
prefixes = ["+1202", "+44"]
issued_not_after = 2026-12-31
until = 2027-06-30
scts = 0
logs = ["north"]

[[anchor]]
name = "other"
operator = "Other Ltd"
sha256 = "{OTHER_SHA}"

[[deny]]
number = "+12025550123"
note = "sells solar panels"

[[deny]]
prefix = "+1900"

[[deny]]
certificate = "{SHA}"

[[log]]
name = "north"
operator = "North Ltd"
sha256 = "{SHA}"

[[witness]]
name = "library"
operator = "Town Library"
key = "{WITNESS.verifier.format()}"
"""


def settings_of(text: str) -> Settings:
    """Return the settings of a file by itself."""
    return effective([parse(text, PATH).layer]).settings


def test_everything_a_file_may_say_is_read_with_its_line() -> None:
    """Anchors, denies and settings come out typed, each with the place that a verdict will name."""
    beliefs = parse(FULL, PATH)
    (sha, terms), (other_sha, other) = ((offer.sha256, offer.terms) for offer in beliefs.layer.offers)
    assert (sha, other_sha) == (SHA, OTHER_SHA)
    assert (terms.name, terms.operator, terms.source) == ("example-ca", "Example Ltd", "trust.toml:10")
    assert terms.prefixes == (NumberPrefix.parse("+1202"), NumberPrefix.parse("+44"))
    assert (terms.issued_not_after, terms.until) == (date(2026, 12, 31), date(2027, 6, 30))
    keys = ("prefixes", "issued_not_after", "until", "scts", "logs")
    assert [terms.source_of(key) for key in keys] == [f"trust.toml:{line}" for line in range(14, 19)]
    assert (terms.scts, terms.logs) == (0, ("north",))
    assert other == Terms("other", "Other Ltd", "trust.toml:20", sources=other.sources)
    number, prefix, certificate = beliefs.layer.denies
    assert (number.number, number.note, number.source) == (
        TelephoneNumber.parse("+12025550123"),
        "sells solar panels",
        "trust.toml:25",
    )
    assert (prefix.prefix, prefix.source) == (NumberPrefix.parse("+1900"), "trust.toml:29")
    assert (certificate.certificate, certificate.source) == (SHA, "trust.toml:32")
    settings = effective([beliefs.layer]).settings
    assert (settings.revocation, settings.call_seconds) == (RevocationMode.REQUIRED, 30)
    assert (settings.message_seconds, settings.skew_seconds) == (3600, 0)
    assert dict(settings.sources) == {
        "revocation": "trust.toml:2",
        "call_seconds": "trust.toml:3",
        "message_seconds": "trust.toml:4",
        "skew_seconds": "trust.toml:5",
        "scts": "trust.toml:6",
        "proofs": "trust.toml:7",
        "witnesses": "trust.toml:8",
    }
    assert (settings.scts, settings.proofs, settings.witnesses) == (1, 2, 3)
    assert [(entry.name, entry.operator, place) for entry, place in beliefs.logs] == [
        ("north", "North Ltd", "trust.toml:35")
    ]
    (known,) = beliefs.witnesses
    assert (known.name, known.operator, known.source) == ("library", "Town Library", "trust.toml:40")
    assert known.key == WITNESS.verifier


def test_every_constraint_is_read_with_its_line() -> None:
    """Under the name that the terms have for it."""
    text = (
        f'[[anchor]]\nname = "a"\noperator = "A"\nsha256 = "{SHA}"\n'
        'purposes = ["call", "record"]\nmethods = ["sms-code", "authority-token"]\nlongest_life_hours = 169\n'
        'authority_keys = ["p384"]\nlog_operators = ["North Watch"]\n'
    )
    (offer,) = parse(text, PATH).layer.offers
    terms = offer.terms
    assert terms.purposes == (Purpose.CALL, Purpose.RECORD)
    assert terms.methods == (ValidationMethod.SMS_CODE, ValidationMethod.AUTHORITY_TOKEN)
    assert (terms.longest_life, terms.authority_keys) == (timedelta(hours=169), (KeyType.P384,))
    assert terms.log_operators == ("North Watch",)
    keys = ("purposes", "methods", "longest_life", "authority_keys", "log_operators")
    assert [terms.source_of(key) for key in keys] == [f"trust.toml:{line}" for line in range(5, 10)]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('purposes = ["fax"]', "'fax'"),
        ("purposes = []", "purposes"),
        ('methods = ["postcard"]', "sms-code"),
        ("longest_life_hours = 0", "longest_life_hours"),
        ('authority_keys = ["rsa"]', "p384"),
        ("log_operators = []", "log_operators"),
    ],
)
def test_a_constraint_that_allows_nothing_or_is_unknown_is_refused(line: str, told: str) -> None:
    """With what is allowed."""
    with pytest.raises(TrustFileError, match=told):
        parse(f'[[anchor]]\nname = "a"\noperator = "A"\nsha256 = "{SHA}"\n{line}\n', PATH)


def test_settings_in_one_line_are_named_by_that_line() -> None:
    """TOML has several spellings; each has a place."""
    assert settings_of('\nsettings = { revocation = "required" }').sources == {"revocation": "trust.toml:2"}


@pytest.mark.parametrize("text", ["", "# nothing\n", "[settings]\n"])
def test_an_empty_file_believes_nobody(text: str) -> None:
    """What the user did not say is not assumed."""
    said = parse(text, PATH)
    assert said == replace(Beliefs(), layer=replace(said.layer, kind=LayerKind.LOCAL, given={}))
    assert effective([said.layer]) == effective([])


def test_a_missing_file_believes_nobody(home: TrustHome) -> None:
    """A store without files is empty, and no error."""
    assert effective([read(home.trust_file).layer]) == effective([])
    parts = load(home)
    assert (parts.anchors, parts.denies, parts.settings, parts.logs.logs) == ((), (), Settings(), ())


ANCHOR = f'[[anchor]]\nname = "a"\noperator = "A"\nsha256 = "{SHA}"\n'
LOG = f'[[log]]\nname = "l"\noperator = "L"\nsha256 = "{SHA}"\n'
WATCHER = f'[[witness]]\nname = "w"\noperator = "W"\nkey = "{WITNESS.verifier.format()}"\n'
MISTAKES = [
    (LOG + LOG.replace(SHA, OTHER_SHA), "trust.toml:6: another log has the same name"),
    (LOG + LOG.replace('"l"', '"m"'), "trust.toml:8: another log has the same sha256"),
    (LOG + "url = 'https://log.example'", "url: there is no such key"),
    (WATCHER + WATCHER.replace('"w"', '"v"'), "trust.toml:8: another witness has the same key"),
    (WATCHER.replace("+B", "+C"), "trust.toml:4: this is no witness's key"),
    (ANCHOR + 'logs = ["l", "ll"]\n' + LOG, "trust.toml:5: there is no [[log]] of the name 'll'"),
    (ANCHOR + "logs = []", "logs"),
    (ANCHOR + "scts = 17", "scts"),
    ("[settings]\nscts = -1", "scts"),
    ("[settings]\nwitnesses = true", "witnesses"),
    ("anchor = 1", "anchor"),
    ("[[anchors]]", "anchors: there is no such key"),
    (ANCHOR + "untill = 2027-01-01", "untill: there is no such key"),
    (ANCHOR + "quorum = 2", "quorum: there is no such key"),
    (ANCHOR + "prefixes = []", "prefixes"),
    (ANCHOR + 'prefixes = ["1202"]', "prefixes"),
    (ANCHOR + 'until = "soon"', "until"),
    (ANCHOR + "until = 2027-01-01T00:00:00Z", "until"),
    (ANCHOR.replace(SHA, "ab"), "sha256"),
    (ANCHOR.replace(SHA, SHA.upper()), "sha256"),
    (ANCHOR.replace('name = "a"', 'name = "A B"'), "name"),
    (ANCHOR.replace('operator = "A"', ""), "operator: this key is missing"),
    ("[[deny]]\nnote = 'x'", "trust.toml:1: a deny names exactly one"),
    ("\n\n[[deny]]\nnumber = '+12025550123'\nprefix = '+1'", "trust.toml:3: a deny names exactly one"),
    ("[[deny]]\nnumber = '12025550123'", "number"),
    ("[settings]\nrevocation = 'sometimes'", '"required", "when-available"'),
    ("[settings]\ncall_seconds = 0", "call_seconds"),
    ("[settings]\nskew_seconds = 601", "skew_seconds"),
    (ANCHOR + ANCHOR.replace(SHA, OTHER_SHA), "trust.toml:6: another anchor has the same name"),
    (ANCHOR + ANCHOR.replace('"a"', '"b"'), "trust.toml:8: another anchor has the same sha256"),
    ("x = [", "not TOML"),
]


@pytest.mark.parametrize(("text", "told"), MISTAKES)
def test_a_mistake_is_told_and_nothing_is_believed(text: str, told: str) -> None:
    """A limit that is misspelled must not be a limit that is skipped: the whole file is refused, with the place."""
    with pytest.raises(TrustFileError) as caught:
        parse(text, PATH)
    assert told in str(caught.value)
    assert "trust.toml" in str(caught.value)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text makes anything but beliefs or TrustFileError."""
    try:
        parse(text, PATH)
    except TrustFileError as error:
        assert str(PATH) in str(error)  # noqa: PT017  # most texts are no TOML


def test_a_file_that_cannot_be_read_is_an_error(home: TrustHome) -> None:
    """It is not taken for a missing one, which would believe nobody without saying so."""
    home.trust_file.mkdir(parents=True)
    with pytest.raises(TrustFileError, match="cannot be read"):
        read(home.trust_file)


def test_a_store_is_loaded_from_its_files(home: TrustHome, root: Authority, held: Held) -> None:
    """What was added is believed, and the verdict names the line."""
    add_anchor(home, root.anchor("example-ca"))
    found = TrustStore.load(home.trust_file).judge(held.call())
    assert (found.outcome, found.rule, found.anchor) == (Outcome.VERIFIED, Rule.ANCHOR, "example-ca")
    assert found.source == "trust.toml:5"
    assert home.trust_file.read_text().splitlines()[4] == "[[anchor]]"


def test_the_users_own_store_is_the_one_that_is_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, root: Authority, held: Held
) -> None:
    """Without a path it is the store of the user's home."""
    monkeypatch.setenv("ANSWERBACK_HOME", str(tmp_path))
    assert TrustStore.load().judge(held.call()).outcome is Outcome.UNVERIFIED
    add_anchor(TrustHome.of_user(), root.anchor())
    assert TrustStore.load().judge(held.call()).outcome is Outcome.VERIFIED


def test_an_anchor_whose_certificate_is_missing_is_told(home: TrustHome, root: Authority) -> None:
    """The store is not loaded with fewer anchors than the user named."""
    add_anchor(home, root.anchor())
    next(home.anchors.iterdir()).unlink()
    with pytest.raises(TrustStoreError, match=r"trust\.toml:5: the certificate of example-ca is missing"):
        TrustStore.load(home.trust_file)


@pytest.mark.parametrize("content", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\n"])
def test_an_anchor_whose_certificate_is_damaged_is_told(home: TrustHome, root: Authority, content: bytes) -> None:
    """Damage is named with the file and the line."""
    add_anchor(home, root.anchor())
    next(home.anchors.iterdir()).write_bytes(content)
    with pytest.raises(TrustStoreError, match=r"trust\.toml:5: .* is not the certificate of example-ca"):
        TrustStore.load(home.trust_file)


def test_another_certificate_in_the_place_of_an_anchors_is_told(
    home: TrustHome, root: Authority, issuing: Authority
) -> None:
    """The SHA-256 in the user's file decides, not what stands in a folder."""
    add_anchor(home, root.anchor())
    add_anchor(home, issuing.anchor("issuing"))
    first, second = sorted(home.anchors.iterdir())
    first.write_bytes(second.read_bytes())
    with pytest.raises(TrustStoreError, match="which is not the one that was asked for"):
        TrustStore.load(home.trust_file)


def test_a_number_certificate_in_the_place_of_an_anchors_is_told(home: TrustHome, held: Held) -> None:
    """A file that was written by hand cannot make a number's certificate an anchor."""
    from stir.certificate_chain import write_pem_chain  # noqa: PLC0415
    from trust_store.fingerprints import sha256_of  # noqa: PLC0415

    sha = sha256_of(held.chain[0])
    home.anchors.mkdir(parents=True)
    home.trust_file.write_text(ANCHOR.replace(SHA, sha))
    (home.anchors / f"{sha}.pem").write_bytes(write_pem_chain(held.chain[:1]))
    with pytest.raises(TrustStoreError, match="it cannot be an anchor"):
        TrustStore.load(home.trust_file)


def test_a_certificate_file_that_cannot_be_read_is_told(home: TrustHome, root: Authority) -> None:
    """It is an error of its own, with the system's reason."""
    add_anchor(home, root.anchor())
    place = next(home.anchors.iterdir())
    place.unlink()
    place.mkdir()
    with pytest.raises(TrustStoreError, match="cannot be read"):
        TrustStore.load(home.trust_file)


def test_a_verdict_names_the_line_of_the_constraint_that_decided(home: TrustHome, root: Authority, held: Held) -> None:
    """`trust.toml:9` is where the user wrote the prefixes."""
    add_anchor(home, root.anchor(prefixes=(NumberPrefix.parse("+44"),)))
    found = TrustStore.load(home.trust_file).judge(held.call(NOW))
    assert (found.outcome, found.rule, found.source) == (Outcome.REFUSED, Rule.ANCHOR_NUMBERS, "trust.toml:9")
    assert home.trust_file.read_text().splitlines()[8] == 'prefixes = ["+44"]'


def test_a_verdict_names_the_line_of_the_log_that_lied(
    home: TrustHome, root: Authority, issuing: Authority, held: Held
) -> None:
    """Logs are read from the folder, and held to what the user named."""
    log = SealedLog()
    add_anchor(home, root.anchor())
    add_log(home, log.trusted())
    store = TrustStore.load(home.trust_file)
    assert store.judge(logged(issuing, held, log).call()).outcome is Outcome.VERIFIED
    found = store.judge(logged(issuing, held, log, number=STRANGER).call())
    assert (found.outcome, found.rule, found.source) == (Outcome.REFUSED, Rule.LOG_TIMESTAMPS, "trust.toml:10")
    assert home.trust_file.read_text().splitlines()[9] == "[[log]]"


def test_a_log_whose_description_is_missing_or_another_is_told(home: TrustHome) -> None:
    """The store is not loaded with fewer logs than the user named, nor with another one."""
    add_log(home, SealedLog().trusted())
    place = next(home.logs.iterdir())
    place.write_bytes(SealedLog("another").trusted().data)
    with pytest.raises(TrustFileError, match=r"trust.toml:5: .* is not the description of example-log: its SHA-256"):
        load(home)
    place.write_bytes(b"{}")
    with pytest.raises(TrustFileError, match="is not the description of example-log: the log's description"):
        load(home)
    place.unlink()
    with pytest.raises(TrustFileError, match=r"trust.toml:5: the description of example-log is missing"):
        load(home)
    place.mkdir()
    with pytest.raises(TrustFileError, match="the description of example-log cannot be read"):
        load(home)


def test_two_logs_with_a_shard_in_common_are_told(home: TrustHome) -> None:
    """They would count as two."""
    log = SealedLog()
    add_log(home, log.trusted())
    data = replace(log.description, operator="Somebody else").to_json()
    other = TrustedLog("twin", "Twin", "", data)
    (home.logs / f"{other.sha256}.json").write_bytes(data)
    with home.trust_file.open("a") as file:
        file.write(f'[[log]]\nname = "twin"\noperator = "Twin"\nsha256 = "{other.sha256}"\n')
    with pytest.raises(TrustFileError, match="shard 2026h1 of twin is one of example-log as well"):
        load(home)
