"""The policy: everything a decision depends on, as one document with one digest.

`document.py` says what it holds, `compiled.py` turns a resolved document into a `Policy` or refuses it whole,
`expressions.py` reads the maps' expressions, `grid.py` tries them out, `resolve.py` lays one file over another.
Reading files is `pipeline/process/policy_files.py`.
"""
