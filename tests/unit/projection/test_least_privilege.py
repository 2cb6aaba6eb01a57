"""The users of Redis that docs/security.md prints may what the read models ask for."""

import re
from pathlib import Path

import pytest

from endocrine.pipeline.gateway import rates
from endocrine.pipeline.views.redis import script

PAGE = (Path(__file__).parents[3] / "docs" / "security.md").read_text(encoding="utf-8")


def allowed(user):
    (line,) = re.findall(rf"^ACL SETUSER {user} .*$", PAGE, re.MULTILINE)
    return set(re.findall(r"\+(\S+)", line))


@pytest.mark.parametrize(
    ("user", "text"),
    [
        ("endocrine-projector", script.APPLY),
        ("endocrine-projector", script.TAKE_OVER),
        ("endocrine-gateway", rates._SCRIPT),
    ],
)
def test_a_user_may_run_every_command_of_its_scripts(user, text):
    called = {name.lower() for name in re.findall(r"redis\.p?call\(\s*['\"](\w+)['\"]", text)}
    assert called
    assert called <= allowed(user), called - allowed(user)
