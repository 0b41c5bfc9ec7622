"""The published formats of this field, one module each, with no input or output.

Read `telephone_number` first; `tn_auth_list` says which numbers a certificate speaks for. `certificate` reads the
profile of docs/reference/certificate-profile.md, `certificate_building` writes it, and `certificate_request` asks for
one. `key_authorization` is the arithmetic of the SMS challenges; `passport` with `identity_header` are the signed
statements about a call or a message.
"""
