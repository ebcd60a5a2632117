"""What the labs need of a model: the type that stands in every signature.

`helpers.zoo.load` gives a `TransformerBridge`. Any object with these parts does, such as a
processed model of an older TransformerLens. The type is for readers and type checkers; at run time
it is `Any`.
"""

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from typing import Protocol

    class Model(Protocol):
        """A decoder-only transformer: tokens [batch, pos] to logits [batch, pos, word]."""

        cfg: Any
        tokenizer: Any

        def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
        def __getattr__(self, name: str) -> Any: ...

else:
    Model: TypeAlias = Any
