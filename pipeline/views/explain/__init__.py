"""A turn's audit bundle for a person.

Found on its topic (`find`), laid out once (`sections`), shown in a terminal or as a page (`text`, `html`).
"""
