"""The same chains judged by us and by three validators that we did not write, each difference explained.

`docs/explanation/path-validators.md` has the table; `python -m tests.conformance.test_path_peers` writes it anew.
"""

from __future__ import annotations

import asyncio
import subprocess
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathBuildingError, PathValidationError, ValidationError

from policies.terms import Terms
from tests.fakes.path_cases import Case, cases
from tests.peers import require
from trust_store import Anchor, Outcome, TrustStore
from trust_store.errors import AnchorError

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "path-validators.md"
VALIDATORS = ("Answerback", "pyhanko", "OpenSSL", "GnuTLS")
CLIENT_AUTH = "1.3.6.1.5.5.7.3.2"


@dataclass(frozen=True)
class Difference:
    """A kind of difference: why it is there, and what the four say to each case, in the order of VALIDATORS."""

    title: str
    why: str
    said: Mapping[str, str]


DIFFERENCES = (
    Difference(
        "An anchor's own limits",
        """
        RFC 5280 §6.1.1 (d) takes an anchor for a name and a key, and leaves open what else its certificate
        says. pyhanko does just that. We hold an anchor to its dates, path length, extensions and
        nameConstraints, as RFC 5937 describes and as OpenSSL and GnuTLS do: whoever made the root meant
        them.
        """,
        {
            "the root has expired": "nYnn",
            "the root allows no authority below it, and there is one": "nYnn",
            "the root has an unknown critical extension": "nYnn",
            "nameConstraints of the root permit another prefix": "nYnn",
            "nameConstraints add up along a path to nothing": "nYnn",
        },
    ),
    Difference(
        "The order of a chain",
        """
        Others sort what comes along, and search it for a path. Our chains come in order, each certificate
        issued by the next (RFC 7515 §4.1.6, RFC 8555 §9.1), so there is one way to each anchor and a
        hostile chain cannot make anybody search. Of two cross-signs one is sent; a caller with several
        sends several chains. OpenSSL and GnuTLS do not find the second one here either.
        """,
        {
            "the certificates come in the wrong order": "nYYY",
            "a certificate comes along that has nothing to do with it": "nYYY",
            "two cross-signs come along, and only the second leads to the anchor": "nYnn",
            "an authority certified its own new key, and an anchor leads to the old one": "nYYY",
            "50 authorities follow one another below the root": "nYYY",
        },
    ),
    Difference(
        "What the profile asks of an authority",
        """
        RFC 5280 §4.2.1.3 and §4.2.1.9 ask authorities to mark basicConstraints critical and to have a
        keyUsage; a validator may let it pass. The profile does not: an authority of this system has just
        keyCertSign and cRLSign, and a key that also signs other things is a key in use elsewhere.
        """,
        {
            "the issuing certificate's basicConstraints are not critical": "nYnY",
            "the issuing certificate has no keyUsage": "nYnY",
            "the issuing certificate may sign anything": "nYYY",
            "the issuing certificate has no subjectKeyIdentifier": "nYnY",
        },
    ),
    Difference(
        "What an authority's extKeyUsage says of those below it",
        """
        RFC 5280 leaves that open. pyhanko looks at the last certificate alone. We take it as a limit on the
        whole path, as OpenSSL, GnuTLS and browsers do: an authority for servers certifies no numbers.
        """,
        {
            "the issuing certificate's extKeyUsage is serverAuth alone": "nYnn",
        },
    ),
    Difference(
        "What the profile asks of a number's certificate",
        """
        A number's certificate has one form, and another form is one that somebody made for something else.
        Validators for general use cannot ask that, and each leaves out another part of RFC 5280 §4.2.1.
        """,
        {
            "the number's certificate says that it is an authority's": "nYnY",
            "the number's certificate has no basicConstraints": "nYYY",
            "the number's keyUsage is keyAgreement alone": "nnYY",
            "the number's keyUsage has keyCertSign": "nYnY",
            "the number's certificate has no keyUsage": "nnYY",
            "the number's extKeyUsage is any": "nnnY",
            "the number's certificate has no extKeyUsage": "nnYY",
            "the number's certificate has no authorityKeyIdentifier": "nYnY",
            "the number's certificate has no subjectKeyIdentifier": "nYYY",
            "the number's certificate names no revocation list": "nYYY",
            "the number's certificate has a subject beside its names": "nYYY",
        },
    ),
    Difference(
        "Certificate policies",
        """
        The profile has no policyConstraints and no inhibitAnyPolicy; critical and not understood, they
        refuse the path (RFC 5280 §4.2). OpenSSL looks at policies where it is asked to. GnuTLS knows
        inhibitAnyPolicy and not policyConstraints.
        """,
        {
            "the issuing certificate asks for an explicit policy, and there is one": "nYYn",
            "the issuing certificate asks for an explicit policy, and lets none stand": "nnYn",
            "the issuing certificate inhibits anyPolicy": "nYYY",
        },
    ),
    Difference(
        "nameConstraints",
        """
        They are critical (RFC 5280 §4.2.1.10); those that are not may be passed over by a validator that
        does not know them, so they limit nobody reliably. GnuTLS does not check constraints on URIs, and
        believes the path; we refuse what cannot be checked.
        """,
        {
            "nameConstraints permit the number, and are not critical": "nYYY",
            "nameConstraints permit URIs of one host": "nnnY",
        },
    ),
    Difference(
        "TNAuthLists and names of numbers",
        """
        Only a validator of telephone numbers knows RFC 8226 and RFC 9060: what an authority may certify,
        that both names and the TNAuthList are of one number, and that there is no second. That is why a
        limited authority has nameConstraints too, which all four hold it to.
        """,
        {
            "the issuing certificate's TNAuthList lacks the number": "nYYY",
            "the root's TNAuthList lacks the number": "nYYY",
            "the number's TNAuthList is of another number": "nYYY",
            "the number is named by its tel URI alone": "nYYY",
            "the certificate names two numbers": "nYYY",
            "the subject is empty and subjectAltName is not critical": "nYnY",
            "the number's certificate has no name at all": "nYnY",
        },
    ),
    Difference(
        "Names in another encoding",
        """
        RFC 5280 §7.1 has names compared after preparation, so that a PrintableString equals a UTF8String of
        the same text. We compare bytes: an authority writes its own name in one way, and two names that are
        told apart do no harm.
        """,
        {
            "the issuer's name is the same text in another encoding": "nYYY",
        },
    ),
    Difference(
        "Keys and signatures",
        """
        The profile knows ECDSA on P-256 and, for authorities, P-384. A PASSporT is signed on P-256 (RFC
        8225 §4.2), so a number with another key could sign nothing.
        """,
        {
            "the number's key is on P-384": "nYYY",
            "the number's key is on P-521": "nYYY",
            "the issuing authority's key is on P-521": "nYYY",
            "the number's certificate is signed with SHA-512": "nYYY",
            "the root's key is Ed25519": "nYYY",
        },
    ),
)

EXPLAINED = {name: said for one in DIFFERENCES for name, said in one.said.items()}


def by_us(case: Case) -> bool:
    """Return our verdict, of a store that believes the anchors without limits."""
    try:
        anchors = [Anchor(Terms(f"a{at}", f"o{at}", "x"), one) for at, one in enumerate(case.anchors)]
    except AnchorError:
        return False
    return TrustStore(anchors).judge_chain(case.chain, NOW).outcome is Outcome.VERIFIED


def by_pyhanko(case: Case) -> bool:
    """Return pyhanko's verdict."""

    def loaded(certificate: x509.Certificate) -> asn1_x509.Certificate:
        return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))

    context = ValidationContext(
        trust_roots=[loaded(anchor) for anchor in case.anchors], moment=NOW, allow_fetching=False
    )
    leaf, *above = (loaded(certificate) for certificate in case.chain)
    validator = CertificateValidator(leaf, above, validation_context=context)
    try:
        asyncio.run(validator.async_validate_usage({"digital_signature"}, {"client_auth"}))
    except (PathBuildingError, PathValidationError, ValidationError):
        return False
    return True


def by_openssl(case: Case, folder: Path) -> bool:
    """Return OpenSSL's verdict, at its strictest."""
    write(case, folder)
    command = [require("openssl", "openssl"), "verify", "-x509_strict", "-purpose", "sslclient"]
    command += ["-attime", str(int(NOW.timestamp())), "-CAfile", "anchors.pem"]
    command += ["-untrusted", "above.pem"] if len(case.chain) > 1 else []
    return ran([*command, "leaf.pem"], folder)


def by_gnutls(case: Case, folder: Path) -> bool:
    """Return GnuTLS's verdict."""
    write(case, folder)
    command = [require("certtool", "gnutls-bin"), "--verify", "--verify-profile", "medium"]
    command += ["--verify-purpose", CLIENT_AUTH, "--load-ca-certificate", "anchors.pem", "--infile", "chain.pem"]
    return ran(command, folder)


def write(case: Case, folder: Path) -> None:
    """Write a case into files."""
    files = {"leaf": case.chain[:1], "above": case.chain[1:], "chain": case.chain, "anchors": case.anchors}
    for name, certificates in files.items():
        pem = b"".join(one.public_bytes(Encoding.PEM) for one in certificates)
        (folder / f"{name}.pem").write_bytes(pem)


def ran(command: list[str], folder: Path) -> bool:
    """Tell whether a program was content."""
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False)
    return done.returncode == 0


def judged(case: Case, folder: Path) -> str:
    """Return the four verdicts, Y or n each, in the order of VALIDATORS."""
    judges: tuple[Callable[[], bool], ...] = (
        lambda: by_us(case),
        lambda: by_pyhanko(case),
        lambda: by_openssl(case, folder),
        lambda: by_gnutls(case, folder),
    )
    return "".join("Y" if judge() else "n" for judge in judges)


@pytest.mark.peer
@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_where_validators_differ_the_difference_is_explained(case: Case, tmp_path: Path) -> None:
    """All four agree, or the page says how and why they do not; we never believe what all others refuse."""
    said = judged(case, tmp_path)
    assert said in {"YYYY", "nnnn"} or said == EXPLAINED.get(case.name)
    assert case.name not in EXPLAINED or said == EXPLAINED[case.name]
    assert said[0] == "n" or said == "YYYY"


def test_every_explanation_is_of_a_case() -> None:
    """None is left of a case that is gone, and none is given twice."""
    assert EXPLAINED.keys() <= {case.name for case in cases()}
    assert len(EXPLAINED) == sum(len(one.said) for one in DIFFERENCES)


def test_the_page_is_what_was_compared() -> None:
    """The table of differences, and the cases on which all agree."""
    assert PAGE.read_text() == page()


INTRODUCTION = """
The same chains, judged by Answerback and by three validators that we did not write: pyhanko-certvalidator, OpenSSL
(`openssl verify -x509_strict -purpose sslclient`) and GnuTLS (`certtool --verify`). Each chain differs from a good one
in one thing. The test `tests/conformance/test_path_peers.py` judges them anew and holds this page to what it finds.
"""
ASSURANCE = """
Answerback believes no chain that one of the others refuses. Where it refuses what others believe, the reason stands
here.
"""


def page() -> str:
    """Return the page."""
    parts = ["# Path validators compared", paragraph(INTRODUCTION), paragraph(ASSURANCE)]
    for one in DIFFERENCES:
        parts += [f"## {one.title}", paragraph(one.why), "\n".join((HEADING, *rows(one)))]
    agreed = "\n".join(f"- {case.name}" for case in cases() if case.name not in EXPLAINED)
    return "\n\n".join((*parts, "## Where all four agree", agreed)) + "\n"


def paragraph(text: str) -> str:
    """Return a text in lines of the page's width."""
    return textwrap.fill(" ".join(text.split()), 122, break_on_hyphens=False)


def rows(difference: Difference) -> list[str]:
    """Return the rows of a table: yes for a chain that is believed."""
    words = {"Y": "yes", "n": "no"}
    return [f"| {name} | {' | '.join(words[one] for one in said)} |" for name, said in difference.said.items()]


HEADING = f"| the path | {' | '.join(VALIDATORS)} |\n|---|{'---|' * len(VALIDATORS)}"


if __name__ == "__main__":
    PAGE.write_text(page())
