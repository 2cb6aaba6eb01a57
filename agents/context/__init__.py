"""What a model is given beside the prompt: trusted state, memories, passages; pure, over what a door has read.

rules.py   section `context` of the policy
lines.py   lines of the pack: trusted state, memories, passages, in order
fit.py     whole lines within a number of characters
pack.py    the pack: blocks within the budget, and what they were made of
"""
