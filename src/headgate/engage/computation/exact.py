"""Sums of floats that no order of adding can change, in constant space.

Shewchuk's method, as `math.fsum` has it: https://www-2.cs.cmu.edu/~quake/robust.html
A sum is kept as floats that do not overlap; their `fsum` is the sum correctly rounded.
"""


def add(partials: list[float], number: float) -> None:
    """Adds a number to a sum, exactly. Numbers stay below 1e300, so that nothing overflows."""
    kept = 0
    for partial in partials:
        if abs(number) < abs(partial):
            number, partial = partial, number
        high = number + partial
        low = partial - (high - number)
        if low:
            partials[kept] = low
            kept += 1
        number = high
    partials[kept:] = [number]
