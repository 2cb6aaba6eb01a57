"""Reference pages made from code (`make docs`): settings, records, and the tables of signals."""
