from __future__ import annotations

import pytest

from tests.fakes import small_pki
from tests.fakes.small_pki import Authority, Held
from trust_store import Anchor
from trust_store.errors import AnchorError


def test_an_anchor_is_known_by_the_sha256_of_its_certificate(root: Authority) -> None:
    """Another certificate of the same name and key is another anchor."""
    anchor = root.anchor()
    anchor.require(anchor.sha256)
    with pytest.raises(AnchorError, match=anchor.sha256):
        anchor.require(small_pki.root(prefixes=["+1"]).anchor().sha256)


def test_an_authority_below_another_can_be_an_anchor(issuing: Authority) -> None:
    """The user may believe one issuing authority without its root."""
    assert issuing.anchor().authority.common_name == "Example Issuing"


def test_a_numbers_certificate_cannot_be_an_anchor(held: Held) -> None:
    """The verifier would take it; a number would then vouch for itself."""
    with pytest.raises(AnchorError, match="it cannot be an anchor"):
        Anchor(small_pki.root().anchor().terms, held.chain[0])
