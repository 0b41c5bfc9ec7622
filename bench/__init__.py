"""What things cost, measured side by side with programs that we did not write. Run `make bench`.

`issuance` asks two ACME servers for certificates by the same client (`acme_flow`) and compares their CPU time;
`verdict` judges calls; `start_up` starts commands. Numbers differ from machine to machine: read the ratios.
"""
