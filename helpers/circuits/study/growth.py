"""How the run times of the discrete SAE, of ACDC and of EAP grow with the size of the model.

Run times do not depend on what the weights are, so the models are GPT-2-shaped with random weights:
the width, heads and vocabulary of GPT-2 small, and 2 to 12 layers; prompts are random tokens. The
discrete SAE is timed as a whole: writes on all prompts and twins, training, codes, scores. ACDC
tests one edge after the other, so a sample of its edge tests is timed, in the state that half of
the edges after them are removed, and scaled to one test per edge: one search, at one threshold. EAP
is timed on the prompts that ACDC has, and scaled to those that the SAE has.
"""

import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from helpers import files
from helpers.circuits.graph.forward import Graph
from helpers.circuits.rivals import acdc, gradients
from helpers.circuits.study import methods
from helpers.circuits.tasks.twins import Twins
from helpers.errors import LabError
from helpers.model import Model
from helpers.runtime import progress
from helpers.texts import Prompts
from helpers.timing import Ratio
from helpers.zoo import hub

DATA = files.DATA / "growth.json"
LAYERS = (2, 4, 6, 12)


@dataclass(frozen=True)
class Timing:
    """Seconds on one model.

    Attributes:
        layers: Number of layers of the model.
        heads: Number of heads of the model.
        edges: Number of edges of the model's graph.
        sae: Seconds of the discrete SAE on `prompts` prompts and as many twins.
        acdc: Seconds of one search of ACDC on `searched` prompts, scaled from `tests` edge tests.
        eap: Seconds of EAP on `prompts` prompts, scaled from `searched`.
        prompts: Number of prompts.
        searched: Number of prompts that ACDC and EAP were timed on.
        tests: Number of edge tests that were timed.
        threads: Number of torch's threads.
    """

    layers: int
    heads: int
    edges: int
    sae: float
    acdc: float
    eap: float
    prompts: int
    searched: int
    tests: int
    threads: int

    @property
    def ratio(self) -> float:
        """How many times longer ACDC takes."""
        return self.acdc / self.sae


def random_gpt2(
    layers: int, heads: int = 12, width: int = 768, vocabulary: int = 50257, seed: int = 0
) -> Model:
    """A bridge model of GPT-2's shape with random weights."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        n_layer=layers,
        n_head=heads,
        n_embd=width,
        n_positions=64,
        vocab_size=vocabulary,
        bos_token_id=0,
        eos_token_id=0,
    )
    own_draws = torch.random.fork_rng(devices=[])  # the caller's stay as they are
    with tempfile.TemporaryDirectory() as folder, own_draws:
        torch.manual_seed(seed)
        GPT2LMHeadModel(config).save_pretrained(folder)
        return hub.boot(Path(folder), f"a GPT-2 of {layers} layers")


def random_twins(count: int, length: int, vocabulary: int, seed: int = 0) -> Twins:
    """Prompts of random tokens, each with one right and one wrong word.

    A twin differs in the token at its middle.
    """
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(vocabulary, (count, length), generator=generator)
    other = tokens.clone()
    other[:, length // 2] = (tokens[:, length // 2] + 1) % vocabulary
    last = torch.full((count,), length - 1)
    words = torch.arange(vocabulary)[None]
    good, bad = (words == (tokens[:, :1] + shift) % vocabulary for shift in (0, 1))
    clean, corrupted = (
        Prompts("random", ("",) * count, part, last, good, bad) for part in (tokens, other)
    )
    return Twins(clean, corrupted, "logit difference")


def timed(
    layers: int,
    prompts: int = 200,
    length: int = 15,
    searched: int = 50,
    tests: int = 12,
    **shape: int,
) -> Timing:
    """Time the three methods on one random model.

    Args:
        layers: Number of layers of the model.
        prompts: Number of prompts, and of twins, that the discrete SAE scores by.
        length: Number of tokens of a prompt.
        searched: Number of prompts that ACDC and EAP are timed on.
        tests: Number of edge tests of ACDC that are timed.
        shape: Shape of the model, see `random_gpt2`.

    Raises:
        LabError: Fewer prompts than ACDC is to have.
    """
    if not 1 <= searched <= prompts:
        raise LabError(
            f"expected ACDC to have 1 to {prompts} prompts, as many as there are", f"got {searched}"
        )
    model = random_gpt2(layers, **shape)
    scoring, training = (
        random_twins(count, length, model.cfg.d_vocab, seed)
        for seed, count in enumerate((prompts, 10))
    )
    began = time.perf_counter()
    methods.code_scores(methods.Trial(model, scoring, training))
    sae = time.perf_counter() - began
    graph, few = Graph(model), scoring.rows(slice(searched))
    search = acdc.timed_sample(graph, few, tests)
    began = time.perf_counter()
    gradients.edge_attribution(graph, few, batch=10)
    eap = (time.perf_counter() - began) * prompts / searched
    heads, threads = layers * model.cfg.n_heads, torch.get_num_threads()
    return Timing(
        layers, heads, len(graph.edges), sae, search.seconds, eap, prompts, searched, tests, threads
    )


def measure(layers: tuple[int, ...] = LAYERS) -> list[Ratio]:
    """The ratios of ``bench circuits``."""
    return [_ratio(timed(count)) for count in progress(layers, "models")]


def _ratio(timing: Timing) -> Ratio:
    shape = f"{timing.layers} layers, {timing.heads} heads"
    return Ratio(
        name=f"discrete SAE on a GPT-2-shaped model of {shape}",
        ratio=timing.ratio,
        ours_seconds=timing.sae,
        other_seconds=timing.acdc,
        other="one search of ACDC",
        note=f"{timing.prompts} prompts and as many twins; ACDC on {timing.searched} of them, "
        f"{timing.tests} of {timing.edges} edge tests timed and scaled; EAP would take "
        f"{timing.eap:.1f} s, scaled from {timing.searched} prompts",
    )


def write(timings: list[Timing], path: Path = DATA) -> None:
    """Store timings for the figure of the lab."""
    text = json.dumps([asdict(timing) for timing in timings], indent=1)
    files.write_atomically(text + "\n", path)


def stored(path: Path = DATA) -> list[Timing]:
    """The timings that the lab's figure shows.

    Raises:
        LabError: No such file, or a damaged one.
    """

    def parse(content: list[dict]) -> list[Timing]:
        return [Timing(**timing) for timing in content]

    hint = "`python -m helpers circuits --growth FILE` measures them anew"
    return files.read_stored(path, parse, hint)
