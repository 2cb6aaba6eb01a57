"""Read's rules and Process: the pure half of a batch, shared by the worker, `simulate`, replay and simulation.

`records` names records as bytes, `decode` and `partitioning` judge a record alone, `watermarks` recognises copies,
`batch` runs an agent over a batch with the help of `states` and `outputs`, `journal` writes down what was read.
"""
