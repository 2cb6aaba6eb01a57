"""Where identities meet that showed equal or near values (memory, section 9)."""
