"""A labelled set of utterances: which function should be called, with what, or none at all.

It was written by hand, apart from any method that chooses functions. A method may be tuned on
`dev`; `held` is for the final figures alone and is not to be read while tuning. The labels say
what a sensible person would want of an assistant that has the functions of one tool set and
nothing else: a request that no function serves is a case in which nothing is called.
"""
