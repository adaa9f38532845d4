"""A local Heap: Heap's endpoints with Heap's documented rules, a journal, and faults on request.

A request's way through it, one file each:

    server → wire → app → heap → (faults, answers, rules, limits, state) → journal → reply

`options` says how strict it is, `reading` reads single fields for the rules, `writes` names what they
hand to the state, `rows` sees what a request carries without judging it. `control` and `checks` are what
people and tests ask, `deletion` and `recorder` Heap's deletion API and its script for pages, `announce`
the lines on a console.

In a test:

    sandbox = Sandbox(Options(), clock)
    async with serving(sandbox, port=0) as url:
        ...
"""
