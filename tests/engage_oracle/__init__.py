"""The second opinion on Engage: its semantics once more, written from the specification alone.

It shares with the product only the tree of the language and the record of an observed message. It is
slow on purpose: no indexes, no caches, no timers, every question answered from the whole log.

- `observing`: a message as Engage sees it.
- `people`: who the messages are about (identity by flat matching, in arrival order).
- `comparing`: values against values (texts, numbers, instants, null).
- `oracle`: what every definition comes to, for everybody, at an instant.
- `breakpoints`: the instants at which an answer may change by itself.
- `telling`: which values a destination is to be told, and what Heap holds in the end.
- `byhand`: logs and trees for examples.
- `histories`, `definitions`: logs and definitions over a small alphabet, for Hypothesis.
"""
