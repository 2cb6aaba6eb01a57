"""Write the generated pages: `python -m reference [DIR]`, by default into docs/ of the checkout."""

import sys
from pathlib import Path

from reference.pages import pages


def main() -> None:
    """Write what differs, and name it."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[3]
    for name, text in pages(root).items():
        path = root / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}")


if __name__ == "__main__":
    main()
