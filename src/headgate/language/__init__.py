"""The query language: what an audience or a computed trait is defined by, as text and as a tree.

Segment's own language (https://segment.com/docs/api/public-api/query-language/). Pure: it knows no
profiles, no clock and no storage. The workspace checks definitions with it, Engage computes by its tree.
"""
