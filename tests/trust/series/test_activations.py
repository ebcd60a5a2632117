"""Activations at the last token, compared with Hugging Face's own hidden states."""

import pytest
import torch

from helpers import training, zoo
from helpers.errors import LabError
from helpers.training import Recipe
from helpers.trust.series import activations
from tests.trust import tiny

KINDS = ("gpt2", "neox", "stories260K")
STORIES = (
    "Once upon a time there was a little cat.",
    "Tom ran",
    "The girl saw a big red ball, and she was happy because it was fun!",
    'One day a dog came to the park. He said, "I am lost."',
    "Lily",
)


@pytest.fixture(scope="module", params=KINDS)
def pair(request, tmp_path_factory):
    """A bridge, the same weights in transformers, and texts for both."""
    from transformers import AutoModelForCausalLM

    if request.param == "stories260K":
        folder, texts = request.getfixturevalue("shared_dir") / "models" / "stories260K", STORIES
    else:
        folder, texts = tmp_path_factory.mktemp(request.param), tiny.TEXTS
        tiny.save(getattr(tiny, request.param)(), folder)
    return (
        zoo.load(str(folder), device="cpu"),
        AutoModelForCausalLM.from_pretrained(folder).eval(),
        texts,
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return zoo.load(str(tiny.save(tiny.neox(), tmp_path_factory.mktemp("neox"))), device="cpu")


def reference(other, ids, lengths) -> torch.Tensor:
    """Hidden states, text by text, without padding; the last by a hook before the final norm."""
    base = other.base_model
    blocks = next(
        child
        for child in base.children()
        if isinstance(child, torch.nn.ModuleList) and len(child) > 1
    )
    caught = []
    handle = blocks[-1].register_forward_hook(
        lambda module, args, out: caught.append(out[0] if isinstance(out, tuple) else out)
    )
    rows = []
    for row, length in zip(ids, lengths, strict=True):
        with torch.no_grad():
            states = base(row[None, :length], output_hidden_states=True).hidden_states
        rows.append(torch.stack([*(state[0, -1] for state in states[:-1]), caught.pop()[0, -1]]))
    handle.remove()
    return torch.stack(rows, dim=1)


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Largest distance of a vector from its reference, in units of the reference's norm."""
    return float(((ours.float() - theirs).norm(dim=-1) / theirs.norm(dim=-1)).max())


def test_they_are_the_hidden_states_of_transformers(pair):
    bridge, other, texts = pair
    ids, lengths = activations.encode(bridge, texts)
    ours = activations.last_token(bridge, ids, lengths, batch_size=3)
    theirs = reference(other, ids, lengths)
    assert ours.shape == theirs.shape == (bridge.cfg.n_layers + 1, len(texts), bridge.cfg.d_model)
    assert difference(ours, theirs) < 1e-5  # other kernels, other orders of sums; 7e-7 seen
    assert difference(ours[:, [1, 0]], theirs[:, [0, 1]]) > 0.1, "the comparison tells texts apart"
    assert difference(ours[:-1], theirs[1:]) > 0.1, "… and layers"


def test_a_text_gives_the_same_vector_in_any_batch(pair):
    bridge, _, texts = pair
    ids, lengths = activations.encode(bridge, texts)
    single = [
        activations.last_token(bridge, ids[i : i + 1, : lengths[i]], lengths[i : i + 1])
        for i in range(len(texts))
    ]
    for batch_size in (2, len(texts)):
        assert (
            difference(
                activations.last_token(bridge, ids, lengths, batch_size), torch.cat(single, dim=1)
            )
            < 1e-5
        )


def test_what_stands_in_the_padding_does_not_matter(pair):
    bridge, _, texts = pair
    ids, lengths = activations.encode(bridge, texts)
    padding = torch.arange(ids.shape[1]) >= lengths[:, None]
    assert padding.any()
    noise = torch.randint(bridge.cfg.d_vocab, ids.shape, generator=torch.Generator().manual_seed(0))
    changed = torch.where(padding, noise, ids)
    assert torch.equal(
        activations.last_token(bridge, changed, lengths),
        activations.last_token(bridge, ids, lengths),
    )
    wider = torch.cat([ids, noise[:, :3]], dim=1)
    assert (
        difference(
            activations.last_token(bridge, wider, lengths),
            activations.last_token(bridge, ids, lengths),
        )
        < 1e-5
    )


def test_bfloat16_stays_within_its_tolerance(pair):
    bridge, _, texts = pair
    before = {name: value.clone() for name, value in bridge.state_dict().items()}
    ids, lengths = activations.encode(bridge, texts)
    full = activations.last_token(bridge, ids, lengths)
    half = activations.last_token(bridge, ids, lengths, dtype=torch.bfloat16)
    assert half.dtype is torch.bfloat16
    assert 0 < difference(half[:1], full[:1]) < 2**-8, "the embedding is only rounded"
    assert 1e-3 < difference(half, full) < 0.05  # worst text and layer; 0.041 was the worst of 200
    assert all(torch.equal(value, before[name]) for name, value in bridge.state_dict().items())


def test_one_pass_a_batch_leaves_no_hook_and_no_logits(model):
    ids, lengths = activations.encode(model, tiny.TEXTS)
    logits = model(ids)
    blocks, unembeddings = [], []
    handles = [
        model.blocks[0].register_forward_hook(lambda *_: blocks.append(1)),
        model.unembed.register_forward_hook(lambda *_: unembeddings.append(1)),
    ]
    activations.last_token(model, ids, lengths, batch_size=2)
    for handle in handles:
        handle.remove()
    assert (len(blocks), len(unembeddings)) == (2, 0)
    assert not [name for name, point in model.hook_dict.items() if point.fwd_hooks]
    assert torch.equal(model(ids), logits)


def test_native_models_have_the_same_sites():
    shape = {
        "n_layers": 2,
        "n_heads": 2,
        "d_model": 8,
        "d_head": 4,
        "d_mlp": 16,
        "n_ctx": 10,
        "d_vocab": 15,
    }
    recipe = Recipe(
        "toy", "none", shape | {"act_fn": "relu", "normalization_type": "LN"}, {}, 1, 1, 1e-3, 0
    )
    native = training.build_model(recipe).eval()
    ids, lengths = torch.arange(20).reshape(2, 10) % 15, torch.tensor([10, 4])
    found = activations.last_token(native, ids, lengths)
    _, cache = native.run_with_cache(ids)
    for layer, name in enumerate(activations.site_names(2)):
        torch.testing.assert_close(
            found[layer], cache[name][torch.arange(2), lengths - 1], atol=1e-6, rtol=0
        )


def test_encoding_is_the_tokenizers_own(shared_dir):
    from transformers import AutoTokenizer

    folder = shared_dir / "models" / "stories260K"
    model, tokenizer = zoo.load(str(folder), device="cpu"), AutoTokenizer.from_pretrained(folder)
    ids, lengths = activations.encode(model, STORIES)
    for row, length, text in zip(ids, lengths, STORIES, strict=True):
        assert row[:length].tolist() == [
            tokenizer.bos_token_id,
            *tokenizer(text, add_special_tokens=False).input_ids,
        ]
        assert not row[length:].any()
        assert tokenizer.decode(row[:length], skip_special_tokens=True) == text
    bare, shorter = activations.encode(model, STORIES, prepend_bos=False)
    assert torch.equal(shorter, lengths - 1)
    assert torch.equal(bare, ids[:, 1:])


def test_gpt2_gets_no_beginning_that_it_was_not_trained_with(shared_dir, model):
    from transformers import GPT2TokenizerFast

    folder = shared_dir / "models" / "gpt2-tokenizer"
    vocabulary, merges = str(folder / "vocab.json"), str(folder / "merges.txt")
    tokenizer = GPT2TokenizerFast(vocab=vocabulary, merges=merges)
    assert tokenizer.bos_token_id == tokenizer.eos_token_id == 50256
    wide = _With(model, tokenizer, d_vocab=50257)
    ids, lengths = activations.encode(wide, ["Hello world", "naïve 😀 <|endoftext|>"])
    assert ids[0, :2].tolist() == [15496, 995]  # published ids of "Hello" and " world"
    assert lengths[0] == 2
    assert activations.encode(wide, ["Hello world"], prepend_bos=True)[0].tolist() == [
        [50256, 15496, 995]
    ]


class _With:
    """A model's configuration with another tokenizer and vocabulary: all that `encode` looks at."""

    def __init__(self, model, tokenizer, **changes):
        from types import SimpleNamespace

        self.cfg = SimpleNamespace(
            **({"d_vocab": model.cfg.d_vocab, "n_ctx": model.cfg.n_ctx} | changes)
        )
        self.tokenizer = tokenizer


def test_words_that_the_tokenizer_does_not_know_are_named(model):
    with pytest.raises(LabError, match=r"text 1 has 'sofa', 'zebra'"):
        activations.encode(model, ["the cat", "the zebra sees a sofa"])
    assert activations.encode(model, ["the [UNK] sees"])[0].tolist() == [[2, 0, 6]], (
        "unless the text asks for it"
    )


def test_characters_that_vanish_are_named(model):
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    letters = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.BPE({"a": 0, "b": 1, " ": 2}, []))
    )
    assert letters("a é b").input_ids == [0, 2, 2, 1], (
        "this kind of tokenizer drops what it does not know"
    )
    with pytest.raises(LabError, match=r"text 0 has 'é'"):
        activations.encode(_With(model, letters), ["a é b"])


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ((), "at least one text"),
        (("the cat", ""), "text 1 has 0"),
        (("the " * 25,), r"at most 24 tokens.*text 0 has 25"),
    ],
)
def test_texts_that_a_model_cannot_read_are_refused(model, texts, message):
    with pytest.raises(LabError, match=message):
        activations.encode(model, texts)


def test_a_model_without_a_tokenizer_says_so(model):
    with pytest.raises(LabError, match="tokenizer is missing"):
        activations.encode(_With(model, None), ["the cat"])


def test_a_tokenizer_of_another_model_is_refused(model):
    other = tiny.tokenizer((*tiny.WORDS, "zebra"))
    with pytest.raises(LabError, match=r"ids from 0 to 15.*got ids from 2 to 16"):
        activations.encode(_With(model, other), ["the zebra"])
    with pytest.raises(LabError, match="belongs to another model"):
        activations.last_token(model, torch.tensor([[2, 99]]), torch.tensor([2]))


def test_a_beginning_that_does_not_exist_cannot_be_put_first(model):
    assert tiny.tokenizer().bos_token_id is None
    with pytest.raises(LabError, match="beginning-of-text"):
        activations.encode(_With(model, tiny.tokenizer()), ["the cat"], prepend_bos=True)


@pytest.mark.parametrize(
    ("ids", "lengths", "options"),
    [
        (torch.zeros(2, 4, dtype=torch.long), torch.tensor([4]), {}),
        (torch.zeros(2, 4, dtype=torch.long), torch.tensor([4, 5]), {}),
        (torch.zeros(2, 4, dtype=torch.long), torch.tensor([4, 0]), {}),
        (torch.zeros(0, 4, dtype=torch.long), torch.zeros(0, dtype=torch.long), {}),
        (torch.zeros(2, 4, dtype=torch.long), torch.tensor([4, 4]), {"dtype": torch.float16}),
        (torch.zeros(2, 4, dtype=torch.long), torch.tensor([4, 4]), {"batch_size": 0}),
    ],
)
def test_arguments_that_do_not_fit_are_refused(model, ids, lengths, options):
    with pytest.raises(LabError):
        activations.last_token(model, ids, lengths, **options)


def test_nan_names_the_checkpoint_and_the_first_bad_layer(tmp_path):
    broken = tiny.neox()
    with torch.no_grad():
        broken.base_model.layers[1].mlp.dense_4h_to_h.bias[3] = float("nan")
    bridge = zoo.load(str(tiny.save(broken, tmp_path)), device="cpu")
    ids, lengths = activations.encode(bridge, tiny.TEXTS)
    with pytest.raises(LabError) as fault:
        activations.last_token(bridge, ids, lengths, called="run at step 512")
    assert "finite activations of run at step 512" in str(fault.value)
    assert "layer index 2 on (blocks.1.hook_resid_post), in 4 of 4 texts" in str(fault.value)


PAD_SIDES = {
    "pad 0": ([[7, 2, 3, 4], [0, 0, 5, 4], [0, 6, 3, 4]], [4, 2, 3]),
    "the same last token": ([[7, 2, 3, 14], [0, 5, 3, 14]], [4, 3]),
    "two free places each": ([[0, 0, 3, 14], [0, 0, 6, 14]], [2, 2]),
    "another pad": ([[7, 2, 3, 4], [9, 9, 5, 4]], [4, 2]),
}


@pytest.mark.parametrize("kind", PAD_SIDES)
def test_padding_on_the_left_is_refused(kind, model):
    """Its last real token is not where the length says: the vectors would be those of others."""
    ids, lengths = map(torch.tensor, PAD_SIDES[kind])
    with pytest.raises(LabError, match="padded on the right"):
        activations.last_token(model, ids, lengths)


def test_a_tokenizer_that_pads_on_the_left_is_found_out(model):
    """As a user brings it: the tokenizer's own table, and lengths from its mask."""
    own = tiny.tokenizer()
    own.pad_token, own.padding_side = "[UNK]", "left"
    table = own(list(tiny.TEXTS), return_tensors="pt", padding=True)
    with pytest.raises(LabError, match='padding_side = "right"'):
        activations.last_token(model, table["input_ids"], table["attention_mask"].sum(1))
    own.padding_side = "right"
    table = own(list(tiny.TEXTS), return_tensors="pt", padding=True)
    found = activations.last_token(model, table["input_ids"], table["attention_mask"].sum(1))
    assert torch.equal(found, activations.last_token(model, *activations.encode(model, tiny.TEXTS)))


@pytest.mark.parametrize("begin", [0, 3])
def test_texts_that_begin_alike_are_not_taken_for_padded_ones(model, begin):
    ids = torch.tensor([[begin, 5, 3, 0], [begin, 2, 6, 0], [begin, 2, 6, 7]])
    assert activations.last_token(model, ids, torch.tensor([3, 3, 4])).isfinite().all()
    # the token before the last: with one place free, 0 may be what begins the texts of this model
    assert activations.last_token(model, ids[:2], torch.tensor([3, 3])).isfinite().all()
