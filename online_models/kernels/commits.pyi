from collections.abc import Callable, Sequence

from online_models.store_writes import Arg, Write

def lay_out(
    writes: Sequence[Write],
    prefix: str,
    most: int,
    checked: Callable[[Write, int], str],
    begins: Callable[[Arg, str], bool],
    refused: Callable[[str, int], None],
    split: Callable[[Write, int, list[Arg]], None],
) -> tuple[list[Arg], list[int]]:
    """What :func:`online_models.store_writes.lay_out` gives.

    Args:
        most: arguments of one command.
        checked: of a write that is not plainly right: the type its key may hold; raises where it may not be sent.
        begins: whether a key that is no text begins with the prefix.
        refused: raises, given the reason and which write.
        split: adds a command of more arguments as several.
    """
