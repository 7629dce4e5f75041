"""The independent check of the log: it reads what stands there and recomputes. It shares no state code with the dispatcher.

What is found on the topics becomes facts, each under the key of what it is about: a request, a call, a total, a position. The
facts of one key are judged together. They wait in a shelf of many compartments that spills to disk and is emptied one
compartment at a time, so that memory does not grow with the log (a partitioned join).
"""
