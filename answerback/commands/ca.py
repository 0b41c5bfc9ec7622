"""`answerback ca`: an authority from its first key to its last revocation.

Its commands stand in modules of their own, which are imported when asked for: see `DOORS`.
"""

from __future__ import annotations

import click

from answerback.doors import Door, DoorGroup

_SERVER = "answerback.commands.ca_server"
_CERTIFICATES = "answerback.commands.ca_certificates"
_KEYS = "answerback.commands.ca_keys"

DOORS = {
    "accounts": Door(_CERTIFICATES, "accounts", "List the accounts, oldest first."),
    "certificates": Door(_CERTIFICATES, "certificates", "List the certificates that were issued, oldest first."),
    "check": Door(_SERVER, "check", "Look whether everything that serving needs is there."),
    "crl": Door(_CERTIFICATES, "crl", "Show the CRLs, and sign them anew where asked."),
    "export-anchor": Door(_KEYS, "export_anchor", "Print the certificate that users are to believe, in PEM."),
    "init": Door(_SERVER, "init", "Make a new authority in FOLDER."),
    "keys": Door(_KEYS, "keys", "Show the authority's certificates, and where their keys are."),
    "logs": Door("answerback.commands.ca_logs", "logs", "Show the logs, what waits for them, and their false answers."),
    "revoke": Door(_CERTIFICATES, "revoke", "Revoke the certificate of SERIAL, and sign its CRL at once."),
    "serve": Door(_SERVER, "serve_command", "Serve ACME until it is stopped."),
    "sms": Door("answerback.commands.ca_sms", "sms", "Try the SMS gateways."),
    "worker": Door(_SERVER, "worker", "Send SMS, sign CRLs anew and tidy up, until it is stopped."),
}


@click.group(cls=DoorGroup, doors=DOORS)
def ca() -> None:
    """Run an authority: keys, ACME server, SMS, revocation."""
    from ca_server.audit import configure_log

    configure_log("warning")
