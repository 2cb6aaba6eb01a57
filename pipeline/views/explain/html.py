"""The explanation as one HTML page: no script, nothing fetched, all text escaped."""

from html import escape

from endocrine.pipeline.views.explain.find import Explained
from endocrine.pipeline.views.explain.sections import Section, paragraphs, sections, title

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.warning { border-left: .3rem solid #c00; padding-left: .8rem; font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884; }
td { white-space: pre-line; overflow-wrap: anywhere; }
tbody th { font-weight: 500; white-space: nowrap; }
@media print { body { max-width: none; margin: 0; } section { break-inside: avoid; } }
"""


def as_html(explained: Explained) -> str:
    """Return a whole document, in UTF-8 once encoded."""
    heading = escape(title(explained))
    explanation = "\n".join(
        f'<p class="warning" role="alert">{escape(one)}</p>' if one.startswith("WARNING") else f"<p>{escape(one)}</p>"
        for one in paragraphs(explained)
    )
    body = "\n".join(map(_section, sections(explained)))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{heading}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{heading}</h1>
{explanation}
{body}
</main>
</body>
</html>
"""


def _section(section: Section) -> str:
    head = ""
    if section.columns:
        names = "".join(f'<th scope="col">{escape(name)}</th>' for name in section.columns)
        head = f"<thead><tr>{names}</tr></thead>"
    rows = "\n".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in section.rows
    )
    table = f'<div class="wide"><table>{head}<tbody>\n{rows}\n</tbody></table></div>'
    return f"<section>\n<h2>{escape(section.title)}</h2>\n{table}\n</section>"
