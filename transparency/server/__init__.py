"""A log at work: it takes precertificates from the authorities it admits, and shows sealed entries to everybody.

`app` wires it, `serve` runs it; `sequencer` alone decides what the tree is.
"""
