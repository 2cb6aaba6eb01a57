"""Read's rules and Process: the pure half of a batch, shared by the worker, `simulate`, replay and simulation.

`wire` names records as bytes, `decode` and `fit` judge a record alone, `marks` recognises copies, `batch` runs an agent
over a batch with the help of `states` and `outputs`, `journal` writes down what was read.
"""
