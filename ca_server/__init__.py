"""The certificate authority of telephone numbers: ACME in front, SMS behind.

Read `issuing` for what the authority does, step by step; `orders` for the values it does it with; `app` for how the
parts are wired. The web, the database, the SMS gateways and the keys each live in a room of their own.
"""
