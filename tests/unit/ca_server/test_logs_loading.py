"""From `[[logs]]` to logs that can be asked, over HTTP."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from ca_server.config import CertificateLog, Config
from ca_server.errors import ConfigurationError
from ca_server.logs.judging import judge
from ca_server.logs.known_log import Lie, LieKind, Precertified, SubmissionError
from ca_server.logs.loading import open_logs
from policies.issuance import IssuancePolicy
from stir.certificate import load_certificate
from tests.fakes.authority import NOW, make_issuance, make_issuer
from tests.fakes.issuing_authority import NUMBER, make_config, new_key
from tests.fakes.public_log import PublicLog
from transparency.errors import SctError
from transparency.sct import tbs_of
from transparency.transport import Answer, Question, Unreachable


@pytest.fixture
def log() -> PublicLog:
    """Return a log whose description is handed out."""
    return PublicLog()


@pytest.fixture
def config(log: PublicLog, tmp_path: Path) -> Config:
    """Return the settings of an authority that was given the log's description."""
    path = tmp_path / "log.json"
    path.write_bytes(log.description.to_json())
    return make_config(IssuancePolicy(countries=("US",), scts=1), logs=(CertificateLog(path, "Somebody Else"),))


class Scripted:
    """A transport that gives the answer of a test."""

    def __init__(self, answer: Answer | Unreachable) -> None:
        """Remember the answer."""
        self.answer = answer
        self.questions: list[Question] = []

    def ask(self, question: Question) -> Answer:
        """Answer."""
        self.questions.append(question)
        if isinstance(self.answer, Unreachable):
            raise self.answer
        return self.answer


def precertificate(log: PublicLog) -> tuple[bytes, ...]:
    """Return a chain to submit to the log."""
    assert log.shard.takes(NOW)
    issuer = make_issuer()
    shown = issuer.sign_precertificate(NUMBER, new_key().public_key(), make_issuance())
    return (shown.public_bytes(Encoding.DER), issuer.certificate_der)


def test_the_logs_are_those_of_the_settings(config: Config, log: PublicLog) -> None:
    """A log is known by its description, and its operator by the authority's own word for it."""
    (known,) = open_logs(config).known
    assert known.description == log.description
    assert known.operator == "Somebody Else"
    assert known.operator_key == "somebody else"


def test_a_precertificate_goes_to_the_shard_of_its_end(config: Config, log: PublicLog) -> None:
    """It is posted with its chain to add-pre-chain below the shard's prefix, and the timestamp comes back unchecked."""
    chain = precertificate(log)
    sct = log.add_pre_chain(chain, 1)
    transport = Scripted(Answer(200, json.dumps(sct.to_response()).encode(), {"content-type": "application/json"}))
    (known,) = open_logs(config, transport).known
    assert known.client.add_pre_chain(chain, 1.5) == sct
    (question,) = transport.questions
    assert question.url == f"{log.description.submission_prefix(log.shard)}/ct/v1/add-pre-chain"
    assert question.patience == 1.5
    assert question.body is not None
    assert len(json.loads(question.body)["chain"]) == 2


@pytest.mark.parametrize(
    "answer", [Unreachable("nobody is there"), Answer(403, b"not admitted"), Answer(503, b""), Answer(200, b"[]")]
)
def test_an_answer_that_is_no_timestamp_is_the_rooms_own_error(
    config: Config, log: PublicLog, answer: Answer | Unreachable
) -> None:
    """A log that cannot be reached, says no, or answers with something else raises SubmissionError or SctError."""
    (known,) = open_logs(config, Scripted(answer)).known
    with pytest.raises((SubmissionError, SctError)):
        known.client.add_pre_chain(precertificate(log), 1)


def test_a_timestamp_in_another_logs_name_is_a_lie_that_is_kept_whole(config: Config, log: PublicLog) -> None:
    """What came over HTTP with a foreign log identifier is judged false, and its bytes are the evidence."""
    chain = precertificate(log)
    foreign = dataclasses.replace(log.add_pre_chain(chain, 1), log_id=bytes(32))
    (known,) = open_logs(config, Scripted(Answer(200, json.dumps(foreign.to_response()).encode()))).known
    issuer = make_issuer()
    asked = Precertified(chain, NUMBER, issuer.key_hash, tbs_of(load_certificate(chain[0])), bytes(32), NOW, NOW)
    said = judge(known, log.shard, known.client.add_pre_chain(chain, 1), asked, NOW)
    assert isinstance(said, Lie)
    assert (said.kind, said.sct) == (LieKind.LOG_ID, foreign.encode())


def test_a_description_that_is_missing_says_where_to_get_it(config: Config, tmp_path: Path) -> None:
    """The error names the key, the file and what to do."""
    gone = msgspec.structs.replace(config, logs=(CertificateLog(tmp_path / "no.json", "One"),))
    with pytest.raises(ConfigurationError, match=r"logs\[0\]\.description: .*no\.json cannot be read: .*hands out"):
        open_logs(gone)


def test_a_description_that_is_none_is_refused(config: Config) -> None:
    """A file that is no description of a log is named with the reason."""
    config.logs[0].description.write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"logs\[0\]\.description: .* cannot be used: "):
        open_logs(config)


def test_one_log_under_two_operators_is_refused(config: Config) -> None:
    """One log cannot pass for two by being named twice."""
    twice = msgspec.structs.replace(config, logs=(*config.logs, CertificateLog(config.logs[0].description, "Other")))
    with pytest.raises(ConfigurationError, match=r"logs\[1\]\.description: .*named twice"):
        open_logs(twice)
