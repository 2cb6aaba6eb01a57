"""The file with the keys that wrap the keys of content (docs/decisions/0017).

It has the form of the file of seal keys, and lies beside it: the first key wraps new ones, every one unwraps. A line
stays for as long as a key that it wraps is on topic `content-keys`. A key is never printed, not even in an error.
"""

from collections.abc import Sequence

from endocrine.pipeline.core.seals import SealKey
from endocrine.pipeline.process.seal_keys import KeyFileError, is_local, make_key_file, read_keys
from endocrine.pipeline.process.settings import Settings

FILE = "content.keys"
"""Name of the file in `data_dir` that is used where no other is named."""
KIND = "key of content"
_COMMENT = "# Keys that wrap the keys of content: shared by all who read or write content, and by nobody else."


def wrapping_keys(settings: Settings) -> Sequence[SealKey]:
    """Return the keys of a deployment; none where it has no file and writes content in clear. Raises KeyFileError."""
    path = settings.content_key_file
    if path is None:
        path = settings.data_dir / FILE
        if not path.exists():
            if settings.content_encryption == "off":
                return ()
            if not is_local(settings):
                raise KeyFileError(
                    "ENDOCRINE_CONTENT_ENCRYPTION is on, ENDOCRINE_CONTENT_KEY_FILE is not set, and the broker is not "
                    "on this machine; expected one file that all processes share: `endocrine seal-key > content.keys` "
                    "makes one"
                )
            make_key_file(path, _COMMENT)
    return read_keys(path, KIND)
