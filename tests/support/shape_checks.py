"""Holds every function of the package to the shapes in its signature, while the tests run.

The check comes after the call. A function that refuses its input in words may be given anything;
one that returns has kept its promise about what it was given, and about what it gives back.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, get_args

from beartype import BeartypeConf, BeartypeStrategy, beartype
from beartype.roar import BeartypeCallHintParamViolation
from jaxtyping import AbstractArray

TIED = beartype(conf=BeartypeConf(is_pep484_tower=True, strategy=BeartypeStrategy.O1))


NO_ARRAY = "not an instance of the underlying array type"
"""What a violation says of a list or another value that the function makes an array of."""


def has_shape(annotation: object) -> bool:
    """Whether an annotation says the shape of an array, on its own or within another type."""
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        return True
    return any(has_shape(argument) for argument in get_args(annotation))


def after_the_call(function: Callable) -> Callable:
    """The type checker for `jaxtyping`'s import hook: shapes alone, arguments and result at once.

    The hook makes two functions of each signature: one that is called before with the arguments,
    whose result is `Any`, and one that is called afterwards with the result as well.
    """
    shapes = {name: hint for name, hint in function.__annotations__.items() if has_shape(hint)}
    if not shapes or function.__annotations__.get("return") is Any:
        return function
    function.__annotations__ = shapes
    tied = TIED(function)

    @wraps(function)
    def check(*arguments: Any, **named: Any) -> Any:
        try:
            return tied(*arguments, **named)
        except BeartypeCallHintParamViolation as fault:
            if NO_ARRAY not in str(fault):
                raise
            return named.get(next((name for name in named if name.startswith("ret")), ""))

    return check
