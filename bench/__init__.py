"""What things cost, measured side by side with programs that we did not write. Run `make bench`.

`issuance` asks two ACME servers for certificates by the same client (`acme_flow`) and compares their CPU time;
`verdict` judges calls, `choice` by quorums and among many anchors, and `hostile` has chains that are made to cost;
`start_up` starts commands. `directory` is asked by owners and callers, and `importing` fills one; `routing_map` makes a
map and asks it. Of a transparency log, `integration` gives entries their places, `waiting` asks for SCTs, `sealed`
makes proofs and keeps the label index, and `million` grows a large log: that and all else that takes minutes is behind
`make bench-log`. Numbers differ from machine to machine: read the ratios.
"""
