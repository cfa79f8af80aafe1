"""Labelled questions, requests and conversations for a language model that speaks.

They were written apart from any prompt or method, and are not to be tuned on: the figures of
`measure.py` are for comparing models and versions. The checks are mechanical. They see that an
answer is wrong, too long, a list or in the wrong language; they don't see that it is dull.
"""
