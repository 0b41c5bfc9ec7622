"""The whole story on loopback: authorities, a mobile network, logs, directories, and what an attacker tries."""
