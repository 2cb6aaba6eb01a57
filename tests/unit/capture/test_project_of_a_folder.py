"""The project of a folder: the longest path, by component, Windows forms in any case."""

import pytest

from endocrine.agents.capture.paths import project_at

PATHS = {"/work/atlas": "atlas", "/work/atlas/pump": "p05", "C:\\Work\\Pump": "w05", "\\\\Server\\Share": "shared"}


@pytest.mark.parametrize(
    ("cwd", "project"),
    [
        ("/work/atlas", "atlas"),
        ("/work/atlas/", "atlas"),
        ("/work//atlas/./pump/src", "p05"),
        ("/work/atlas2", None),
        ("/work/atlas/pumps", "atlas"),
        ("/WORK/atlas", None),
        ("/work", None),
        ("c:/work/PUMP/src", "w05"),
        ("c:\\work\\pumps", None),
        ("//server/share", None),
        ("\\\\SERVER\\share\\x", "shared"),
        ("", None),
    ],
)
def test_the_longest_path_that_holds_the_folder_counts(cwd, project):
    assert project_at(PATHS, cwd) == project


def test_the_root_holds_every_folder_of_its_form():
    assert [project_at({"/": "all"}, cwd) for cwd in ("/a/b", "C:\\a")] == ["all", None]
