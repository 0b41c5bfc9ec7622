"""The whole story on loopback: two authorities, a mobile network, a call that is believed, what an attacker tries."""
