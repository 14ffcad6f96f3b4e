"""Train functions written for a framework, without a line about explr in their loops.

Each module needs the framework that it is named after, and nothing else here
imports one.
"""
