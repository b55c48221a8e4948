"""The innermost loops, compiled (Cython): what numpy would need hundreds of small calls for.

Each is a pure function of arrays, has one caller, and a test that holds it to a few plain lines of Python. Nothing here
knows of events, settings or state.
"""
