"""Holds the door of topics whose agents come later: what is malformed or misplaced there is found all the same."""
