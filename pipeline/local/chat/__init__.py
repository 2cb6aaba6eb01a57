"""`endocrine chat`: a conversation in the terminal through the whole path, with what was decided and why."""
