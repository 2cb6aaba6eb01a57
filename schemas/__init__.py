"""The vocabulary: models of every record that crosses a topic, and the closed vocabularies.

No logic lives here and nothing of ours is imported. Field names are a contract with upstream and downstream
programs: fields may be added, none renamed or dropped. Ours are strict: an unknown field, a wrong type, NaN or a
value out of range is refused, naming the field.
"""
