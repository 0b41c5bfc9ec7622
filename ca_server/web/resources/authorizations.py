"""Authorizations and their challenges: read, answered, given up (RFC 8555 §7.5, docs/reference/challenges.md)."""

from __future__ import annotations

from dataclasses import dataclass

import falcon
import msgspec

from ca_server import issuing
from ca_server.orders import Authorization, Challenge
from ca_server.web import payloads
from ca_server.web.parts import Parts
from ca_server.web.responses import link
from ca_server.web.signed_request import ChangeRequest
from serving.web.responses import send_json, send_wait


@dataclass(frozen=True, slots=True)
class AuthorizationResource:
    """One authorization (RFC 8555 §7.5)."""

    parts: Parts

    def on_post(self, req: falcon.Request, resp: falcon.Response, object_id: str) -> None:
        """Return the authorization, deactivated first where the payload says so (RFC 8555 §7.5.2)."""
        ca, request = self.parts.ca, self.parts.requests.by_account(req)
        if request.is_get:
            authorization = issuing.authorization(ca, request.account, object_id)
        else:
            request.read(payloads.Deactivation)
            authorization = issuing.deactivate_authorization(ca, request.account, object_id)
        send_json(resp, self.parts.objects.authorization(authorization))
        send_wait(resp, self.parts.objects.authorization_wait(authorization))


@dataclass(frozen=True, slots=True)
class ChallengeResource:
    """One challenge (RFC 8555 §7.5.1)."""

    parts: Parts

    def on_post(self, req: falcon.Request, resp: falcon.Response, object_id: str) -> None:
        """Read the challenge with an empty payload, ask for an SMS with `{}`, answer with a digest."""
        with self.parts.requests.for_change(req) as request:
            challenge, authorization = self._take(request, req, object_id)
        send_json(resp, self.parts.objects.challenge(challenge))
        send_wait(resp, self.parts.objects.challenge_wait(challenge))
        link(resp, self.parts.urls.authorization(authorization.id), "up")

    def _take(self, request: ChangeRequest, req: falcon.Request, challenge_id: str) -> tuple[Challenge, Authorization]:
        ca, account = self.parts.ca, request.account
        if request.is_get:
            return issuing.challenge(ca, account, challenge_id)
        response = request.read(payloads.ChallengeResponse)
        if response.digest is not msgspec.UNSET:
            return issuing.answer(ca, account, challenge_id, response.digest, enter=request.enter)
        client = self.parts.addresses.of(req.remote_addr, req.get_header("X-Forwarded-For"))
        return issuing.ask(ca, account, challenge_id, client, enter=request.enter)
