"""The file with the keys of prompt hashes, which a policy names by their fingerprints (architecture, section 5d).

It has the form of the file of seal keys, and lies beside it: one key a line, `fingerprint:hex` with 64 hexadecimal
digits. Old keys stay in it for as long as what was decided under them is to be replayed. A key is never printed, not
even in an error.
"""

import secrets

from endocrine.agents._shared.prompt_keys import PromptKeys, fingerprint
from endocrine.pipeline.core.seals import KEY_BYTES
from endocrine.pipeline.process.seal_keys import KeyFileError, read_keys
from endocrine.pipeline.process.settings import Settings

FILE = "prompt.keys"
"""Name of the file in `data_dir` that is used where it is there and no other is named."""
KIND = "key of prompt hashes"


def load_prompt_keys(settings: Settings) -> PromptKeys:
    """Return the keys of a deployment by fingerprint; none where there is no file. Raises KeyFileError."""
    path = settings.prompt_key_file
    if path is None:
        path = settings.data_dir / FILE
        if not path.exists():
            return {}
    keys = read_keys(path, KIND)
    for key in keys:
        expected = fingerprint(key.secret)
        if key.id != expected:
            raise KeyFileError(f"{path}: {key.id!r} is not the fingerprint of its key; expected {expected!r}")
    return {key.id: key.secret for key in keys}


def new_prompt_key_line() -> str:
    """Return a fresh key as a line of the file, without the newline."""
    key = secrets.token_bytes(KEY_BYTES)
    return f"{fingerprint(key)}:{key.hex()}"
