"""What `replay verify` and `audit verify` say last, and the public half of an audit key."""

import pytest

from endocrine.pipeline.cli import audit, replay
from endocrine.pipeline.replay.audit_chain.verify import Report as AuditReport
from endocrine.pipeline.replay.report import Report


def test_nothing_to_verify_is_neither_a_proof_nor_a_finding(capsys):
    empty = Report()
    replay._print(empty, as_json=False)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("nothing to verify")
    assert "proved" not in last
    assert (empty.plain()["proved"], empty.plain()["nothing_to_verify"]) == (False, True)


def test_a_record_that_was_compared_is_proved_and_a_finding_is_not_nothing(capsys):
    some = Report(batches=1, compared=1, equal=1)
    replay._print(some, as_json=False)
    assert capsys.readouterr().out.splitlines()[-1] == "proved: every derived record follows from its inputs"
    found = Report()
    found.find("unknown", "a record that no batch says")
    assert not found.verified_nothing
    replay._print(found, as_json=False)
    assert capsys.readouterr().out.splitlines()[-1] == "NOT proved"


@pytest.mark.parametrize(
    ("report", "keys", "last"),
    [
        (AuditReport(), False, "nothing to verify: neither `audits` nor the journal holds a record"),
        (AuditReport(records=3, checkpoints=1), False, "signatures were NOT checked: no --public-key was given"),
        (AuditReport(records=3), True, "there is no checkpoint, so a rewritten end would not be noticed"),
        (AuditReport(records=3, checkpoints=1, signatures=1), True, "sound"),
    ],
)
def test_audit_verify_says_last_what_it_did_not_check(report, keys, last, capsys):
    audit._print(report, as_json=False, keys=keys)
    assert capsys.readouterr().out.splitlines()[-1].endswith(last)


def test_the_public_half_of_a_key_can_be_printed_again(endocrine, tmp_path):
    made = endocrine("audit", "keygen", "key.pem")
    again = endocrine("audit", "pubkey", "--key", "key.pem")
    assert (again.exit_code, again.stderr) == (0, "")
    assert again.stdout == made.stdout
    assert "PRIVATE" not in again.stdout
    assert endocrine("audit", "pubkey", ENDOCRINE_AUDIT_KEY="key.pem").stdout == made.stdout
    missing = endocrine("audit", "pubkey")
    assert (missing.exit_code, "ENDOCRINE_AUDIT_KEY" in missing.stderr) == (2, True)
