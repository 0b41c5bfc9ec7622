from __future__ import annotations

from pathlib import Path

import pytest

from number_directory.description import DirectoryDescription
from number_directory.server.checkup import examine
from number_directory.server.config import CONFIG_NAME
from number_directory.server.errors import ConfigurationError, ServingError
from number_directory.server.initialise import DESCRIPTION_NAME, NewDirectory, initialise, renew_hidden_key
from number_directory.server.loading import load_config
from stir.certificate_chain import write_pem_chain
from tests.fakes.small_pki import root
from trust_store import TrustStore


@pytest.fixture
def new(tmp_path: Path) -> NewDirectory:
    """Return what an operator decides."""
    authority = tmp_path / "ca.pem"
    authority.write_bytes(write_pem_chain([root().certificate]))
    return NewDirectory("Example", "Example Ltd", "https://directory.example", (authority,), b"correct horse")


def test_a_directory_is_made_from_nothing(tmp_path: Path, new: NewDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings, admission list, key, database and description are there, and pass the check-up."""
    made = initialise(tmp_path / "d", new)
    config = load_config(made.config)
    assert config.url == new.url
    assert [anchor.certificate for anchor in TrustStore.load(config.admission).anchors] == [root().certificate]
    description = DirectoryDescription.from_json((tmp_path / "d" / DESCRIPTION_NAME).read_bytes())
    assert description == made.description
    assert description.record_log.name == "directory.example/records"
    monkeypatch.setenv("ANSWERBACK_DIRECTORY_PASSPHRASE", "correct horse")
    assert [finding.detail for finding in examine(config) if not finding.is_ok] == []


def test_a_check_up_tells_each_mistake(tmp_path: Path, new: NewDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is told with what to do; the rest is looked at all the same."""
    config = load_config(initialise(tmp_path / "d", new).config)
    monkeypatch.setenv("ANSWERBACK_DIRECTORY_PASSPHRASE", "wrong")
    failed = {finding.name: finding.detail for finding in examine(config) if not finding.is_ok}
    assert set(failed) == {"key", "hidden numbers", "record log"}
    assert "passphrase is wrong" in failed["key"]


def test_a_new_key_for_hidden_numbers_is_told_to_everybody(
    tmp_path: Path, new: NewDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The description names it; the old key is kept; a description with the old one fails the check."""
    monkeypatch.setenv("ANSWERBACK_DIRECTORY_PASSPHRASE", "correct horse")
    made = initialise(tmp_path / "d", new)
    config = load_config(made.config)
    old = made.description_file.read_bytes()
    renewed = renew_hidden_key(config)
    assert renewed.hidden_key not in {None, made.description.hidden_key}
    assert DirectoryDescription.from_json(made.description_file.read_bytes()) == renewed
    assert len(list(config.keys.directory.glob("hidden-numbers.until-*"))) == 1
    assert all(finding.is_ok for finding in examine(config))
    made.description_file.write_bytes(old)
    (told,) = (finding.detail for finding in examine(config) if not finding.is_ok)
    assert "another key" in told
    made.description_file.write_bytes(b"{")
    (told,) = (finding.detail for finding in examine(config) if not finding.is_ok)
    assert "cannot be read" in told
    made.description_file.unlink()
    assert all(finding.is_ok for finding in examine(config))


def test_a_key_is_made_where_hidden_numbers_are_offered_alone(
    tmp_path: Path, new: NewDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be named to nobody."""
    monkeypatch.setenv("ANSWERBACK_DIRECTORY_PASSPHRASE", "correct horse")
    path = initialise(tmp_path / "d", new).config
    path.write_text(path.read_text().replace("offered = true", "offered = false"))
    config = load_config(path)
    with pytest.raises(ConfigurationError, match=r"hidden\.offered"):
        renew_hidden_key(config)
    assert {finding.name: finding.detail for finding in examine(config)}["hidden numbers"] == "are not offered"


def test_what_is_there_is_not_overwritten(tmp_path: Path, new: NewDirectory) -> None:
    """A folder with something in it is left alone."""
    initialise(tmp_path / "d", new)
    with pytest.raises(ServingError, match="not empty"):
        initialise(tmp_path / "d", new)


@pytest.mark.parametrize("content", [None, b"nonsense"])
def test_an_authority_that_is_none_is_told(tmp_path: Path, new: NewDirectory, content: bytes | None) -> None:
    """Nothing is made where an admitted file holds no authority's certificate."""
    if content is None:
        new.admit[0].unlink()
    else:
        new.admit[0].write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"ca\.pem"):
        initialise(tmp_path / "d", new)
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("old", "changed", "told"),
    [
        ('url = "https://directory.example"', 'url = "https://Directory.example"', "lower case"),
        ('url = "https://directory.example"', 'url = "http://directory.example"', "write https"),
        ('trusted_proxies = ["127.0.0.1"]', "", "trusted_proxies"),
        ('database = "sqlite:///directory.db"', 'database = "mysql://x"', "database"),
        ('#access = "nobody"', 'access = "token"', "token_file"),
        ('admission = "admission/trust.toml"', 'admission = "directory.toml"', "admission"),
        ("[records]", "[records]\nunknown = 1", "unknown"),
        (
            "#[[number_events]]",
            '[[number_events]]\nname="a"\nfile="b"\n[[number_events]]\nname="a"\nfile="c"',
            "number_events",
        ),
        ("[quotas", "[quotas", ""),
    ],
)
def test_a_mistake_in_the_settings_is_told_with_its_key(
    tmp_path: Path, new: NewDirectory, old: str, changed: str, told: str
) -> None:
    """One line says the file, the key, and what to write."""
    path = initialise(tmp_path / "d", new).config
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, changed))
    if not told:
        load_config(path)
        return
    with pytest.raises(ConfigurationError, match=told) as caught:
        load_config(path)
    assert CONFIG_NAME in str(caught.value)


def test_every_commented_setting_shows_its_default(tmp_path: Path, new: NewDirectory) -> None:
    """Uncommented, the settings that init writes change nothing."""
    path = initialise(tmp_path / "d", new).config
    before = load_config(path)
    lines = path.read_text().split("# Ports and reassignments")[0].splitlines()
    optional = (
        "#folder",
        "#certificate",
        "#key",
        "#[server.tls]",
        "#token_file",
        "#depth",
        "#passphrase_file",
        "#unencrypted",
    )
    shown = [line[1:] if line.startswith("#") and not line.startswith(("# ", *optional)) else line for line in lines]
    path.write_text("\n".join(shown))
    assert load_config(path) == before
