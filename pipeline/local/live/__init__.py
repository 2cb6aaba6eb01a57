"""`endocrine run` and `endocrine demo`: everything on one machine, with a live view.

session.py    the composition: what is started, in which order, and how it ends
folder.py     the data folder: one run at a time; where the feed goes on
worker.py     the worker as a child process, restarted when it dies
doors.py      gateway and connectors, children too; a scripted stand-in until a key is given
feeder.py     the bundled scenario onto the source topics
watcher.py    derived topics and the journal, read without a group
view_state.py what the view shows: bounded, pure
status.py     the figures at the top of the view; pure
totals.py     counts of a run; pure
view.py       the view's state as lines of the terminal's size; pure
summary.py    totals as lines; pure
display.py    the two displays: a terminal, and plain lines
"""
