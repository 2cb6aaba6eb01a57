"""`endocrine run` and `endocrine demo`: everything on one machine, with a live view.

session.py    the composition: what is started, in which order, and how it ends
folder.py     the data folder: one run at a time; where the feed goes on
worker.py     the worker as a child process, restarted when it dies
doors.py      gateway and connectors, children too; a scripted stand-in until a key is given
members.py    dead members of a consumer group taken out
feeder.py     the bundled scenario onto the source topics
watcher.py    derived topics and the journal, read without a group
fronts.py     how far each agent is: lag, and whether all is derived; pure
event.py      one derived record, as it was read
board.py      what the view shows: bounded, pure
status.py     the figures at the head of the view; pure
totals.py     what a run came to, in counts; pure
describe.py   one event as one plain line; pure
cells.py      text cut and filled to an exact width; pure
view.py       the board as lines of the terminal's size; pure
summary.py    totals as lines; pure
face.py       the two faces: a terminal, and plain lines
"""
