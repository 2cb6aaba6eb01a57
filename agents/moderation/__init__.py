"""Local moderation: rules over text, pure and linear in its length. A remote verdict comes as a record instead."""
