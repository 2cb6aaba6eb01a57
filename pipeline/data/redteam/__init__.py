"""Attacks on a running door, from a corpus: what an attacker does, and what must not happen.

corpus.py     cases, from a file
evidence.py   what a client received, read as a client would and as bytes
promises.py   what must hold, and where it did not
attack.py     the requests of a case
run.py        all cases against one door, with what incidents and audits have on record
report.py     sentences, a table, JSON
"""
