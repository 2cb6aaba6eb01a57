"""What an identity showed that others may show too (memory, section 9)."""
