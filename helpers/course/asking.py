"""Ask the student's code: it gets copies, and what it does to the world ends with the call.

No answer ever sees an object that a reference, or a later call, is computed from. A model that is
handed out has to come back without a hook more, all its parts in the same mode, and with weights
and buffers of the same value and type: with a model of one's own each of these would change every
later run. Other changes, as of its ``cfg`` or its ``forward``, are not looked for; they end with
the copy.

A verdict that falls while the answer runs, in a function or an object that it was handed, stands,
whether the answer catches the exception or not.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy  # this one, whatever an answer puts in its place
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from helpers.course.expect import expect_function
from helpers.course.state import HOOKS, kept
from helpers.course.watched import builtins_first
from helpers.course.wrong import Wrong, verdicts


def call(function: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    """Call the student's function on copies; refuse what cannot be called so, a missing return
    value, and a model that is left changed.

    >>> call(abs, -3)
    3
    >>> call(print)
    Traceback (most recent call last):
        ...
    helpers.course.wrong.Wrong: the function returns None: is its last line a return?
    """
    result = call_or_none(function, *inputs, **options)
    if result is None:
        raise Wrong("the function returns None: is its last line a return?")
    return result


def call_or_none(function: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    """The same, where None is an answer.

    >>> given = [1, 2]
    >>> call_or_none(list.clear, given), given
    (None, [1, 2])
    """
    return _ask(function, inputs, options)[0]


def call_in_place(function: Callable[..., Any], *inputs: Any) -> tuple[Any, ...]:
    """The same, where the exercise asks to write into what is given: the inputs as it left them.

    >>> call_in_place(list.clear, [1, 2])
    ([],)
    """
    return _ask(function, inputs, {})[1]


def taken(items: Iterable[Any], at_most: int) -> list[Any]:
    """The items of what an answer returns, and one more than asked for where it has too many: a
    generator may never end, and it runs the student's code, so each is run as a call is.

    >>> from itertools import repeat
    >>> taken((1, 2), at_most=3), len(taken(repeat("0"), at_most=3))
    ([1, 2], 4)
    """
    return _run(lambda: list(islice(items, at_most + 1)), (), {})


def expect_functions(
    answer: Any, tests: Mapping[str, Callable[[Callable], None]], points: float
) -> None:
    """Refuse an answer that does not return the functions named, in order, or returns one that
    fails its test.

    Args:
        answer: The student's function, which returns the functions.
        tests: For each function's name, a test that raises `Wrong`.
        points: What each function is worth by itself.

    Raises:
        Wrong: With what each faulty function lacks, and the points of the others.

    >>> from helpers.course.expect import expect_close
    >>> def is_abs(function):
    ...     expect_close(call(function, -3), 3)
    >>> expect_functions(lambda: (abs, abs), {"first": is_abs, "second": is_abs}, 1)
    """
    got = call(answer)
    if not isinstance(got, tuple | list) or len(got) != len(tests) or not all(map(callable, got)):
        raise Wrong(f"expected {len(tests)} functions, ({', '.join(tests)})")
    faults = []
    for function, test in zip(got, tests.values(), strict=True):
        try:
            test(function)
        except Wrong as fault:
            faults.append(str(fault))
    if faults:
        raise Wrong("; ".join(faults), points=points * (len(tests) - len(faults)))


def _ask(
    function: Callable[..., Any], inputs: tuple[Any, ...], options: Mapping[str, Any]
) -> tuple[Any, tuple[Any, ...]]:
    """What a function returns, and the copies of the inputs that it got."""
    expect_function(function)
    try:
        inspect.signature(function).bind(*inputs, **options)
    except TypeError as mismatch:
        raise Wrong(f"the function cannot be called as the exercise says: {mismatch}") from None
    except ValueError:  # a builtin may have no signature to compare with
        pass
    handed, named = deepcopy((inputs, dict(options)))  # at once: what is one object stays one
    for given in handed:
        if isinstance(given, nn.Module):
            _unwire(given)
    result = _run(function, handed, named)
    for given, left in zip(inputs, handed, strict=True):
        if isinstance(given, nn.Module):
            _expect_untouched(given, left)
    return result, handed


def _run(function: Callable[..., Any], inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """What a function returns, if no verdict fell meanwhile."""
    hooks = HOOKS.read()
    with kept(), verdicts() as fallen:
        try:
            try:
                result = function(*inputs, **options)
            finally:
                builtins_first()
        except KeyboardInterrupt:
            raise
        except BaseException:  # a student's code may raise anything
            if fallen:
                raise fallen[0] from None
            raise
        hooked = HOOKS.read() != hooks
    if fallen:
        raise fallen[0]
    if hooked:
        raise Wrong(
            "your hook is still there, on every module that there is, and changes every later run: "
            "call .remove() on what you got when you registered it"
        )
    return result


def _expect_untouched(model: nn.Module, left: nn.Module) -> None:
    """Refuse a model that is not as it was handed out."""
    before = _hooks(model)
    if hooked := [name for name, count in _hooks(left).items() if count > before.get(name, 0)]:
        raise Wrong(
            f"your hook is still there, at {_short(left, hooked[0])}, and changes every later run: "
            "`run_with_hooks` takes its hooks away, and after `add_hook` you call `reset_hooks()`"
        )
    values = dict(_tensors(left))
    for name, value in _tensors(model):
        _expect_same(name, value, values.get(name))
    modes = {name: part.training for name, part in nn.Module.named_modules(left)}
    for name, part in nn.Module.named_modules(model):
        if modes.get(name, part.training) != part.training:
            raise Wrong(
                f"your function switches {name or 'the model'} to another mode: call model.eval() "
                "at the end"
            )


def _expect_same(name: str, before: Tensor, after: Tensor | None) -> None:
    if after is None or (after.dtype, after.device) != (before.dtype, before.device):
        now = "" if after is None else f" to {after.dtype} on {after.device}"
        raise Wrong(
            f"your function converts the model that it is given{now}, and so it stays for all that "
            "follows: convert values, or a copy.deepcopy of the model"
        )
    if not torch.equal(before, after):
        raise Wrong(
            f"your function changes the weights of the model that it is given, as {name}: work on "
            "a copy.deepcopy of it"
        )


def _unwire(model: nn.Module) -> None:
    """Let the blocks of a copy make their inner hooks anew when it runs: those that were copied
    write into the model that it is a copy of."""
    for part in nn.Module.modules(model):
        if teardown := getattr(part, "_teardown_capture_hooks", None):
            teardown()


def _hooks(model: nn.Module) -> dict[str, int]:
    """How many hooks each part and each parameter of a model has, by its name, but those that a
    block makes itself."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    of_parameters = {
        name: len(getattr(value, "_backward_hooks", None) or ())
        + len(getattr(value, "_post_accumulate_grad_hooks", None) or ())
        for name, value in nn.Module.named_parameters(model)
    }
    return of_parameters | {
        name: sum(
            not str(getattr(hook, "__module__", "")).startswith("transformer_lens.model_bridge")
            for kind in kinds
            for hook in getattr(part, kind).values()
        )
        for name, part in nn.Module.named_modules(model)
    }


def _short(model: nn.Module, name: str) -> str:
    """The name that the labs and TransformerLens have for a hook, as ``hook_resid_post``; or the
    shortest one, where its names only say that it is some part's input or output."""
    if name in dict(nn.Module.named_parameters(model)):
        return name
    hook, known = nn.Module.get_submodule(model, name), getattr(model, "hook_dict", {})
    names = [alias for alias, other in known.items() if other is hook] or [name]
    return min(names, key=lambda alias: (alias.endswith((".hook_in", ".hook_out")), len(alias)))


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Weights and buffers; a class of models may list fewer as its own parameters."""
    yield from nn.Module.named_parameters(model)
    yield from nn.Module.named_buffers(model)
