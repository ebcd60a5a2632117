"""Stored maps: what is chosen, how it is kept, and what a damaged file says."""

import json

import pytest

from helpers import zoo
from helpers.arithmetic.circuit import maps, sufficiency
from helpers.arithmetic.questions import Format
from helpers.cli import main
from helpers.errors import LabError
from helpers.interventions import Node


def test_the_shipped_maps_belong_to_the_shipped_weights_and_suffice():
    stored = maps.stored()
    assert "mix-d6" in stored
    for name, chosen in stored.items():
        assert chosen.sha256 == zoo.entry(name).sha256, f"run: python -m helpers maps {name}"
        model = zoo.load(name, device="cpu").requires_grad_(False)
        fmt = Format(zoo.entry(name).recipe.data["n_digits"])
        fresh = sufficiency.bench(
            model, fmt, per_class=15, reference_per_class=30, seed=300, operations="+-"
        )
        for ablation, nodes in chosen.nodes.items():
            kept = fresh.per_operation(fresh.kept(nodes, ablation))
            assert min(kept.values()) > 0.9, (name, ablation, kept)
            assert len(nodes) < 0.6 * len(fresh.nodes)
            drawn = sufficiency.matched_sets(fresh, nodes, 1)[0]
            assert max(fresh.per_operation(fresh.kept(drawn, ablation)).values()) < 0.8


def test_what_is_written_is_what_is_read(tmp_path, monkeypatch):
    chosen = maps.Map(
        zoo.entry("mix-d3").sha256,
        {"mean": [Node(3, 0, 1), Node(4, 2)], "resample": [Node(5, 1, 3)]},
    )
    asked = []
    monkeypatch.setattr(maps, "choose", lambda name: asked.append(name) or chosen)
    out = tmp_path / "maps.json"
    assert main(["maps", "mix-d3", "--out", str(out)]) == 0
    assert maps.stored(out) == {"mix-d3": chosen}
    assert main(["maps", "mix-d3", "--out", str(out)]) == 0
    assert asked == ["mix-d3"]  # stored for these weights: not chosen again
    stale = json.loads(out.read_text())
    stale["mix-d3"]["sha256"] = "0" * 64
    out.write_text(json.dumps(stale))
    assert main(["maps", "mix-d3", "--out", str(out)]) == 0
    assert asked == ["mix-d3", "mix-d3"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}x",
        "[]",
        '{"mix-d6": {}}',
        '{"mix-d6": {"sha256": "0", "nodes": {"mean": [{"p": 1}], "resample": []}}}',
    ],
)
def test_a_damaged_file_is_explained_and_kept(text, tmp_path, capsys):
    out = tmp_path / "maps.json"
    out.write_text(text)
    with pytest.raises(LabError, match=r"stored measurements in .*maps\.json"):
        maps.stored(out)
    assert main(["maps", "mix-d6", "--out", str(out)]) == 1
    assert "helpers maps" in capsys.readouterr().err
    assert out.read_text() == text


@pytest.mark.parametrize(
    ("name", "words"), [("add-d3", "mixed model"), ("nothing", "embedded model")]
)
def test_a_model_without_two_operations_is_refused(name, words, tmp_path, capsys):
    assert main(["maps", name, "--out", str(tmp_path / "maps.json")]) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "maps.json").exists()


def test_a_choice_keeps_the_answers_it_is_asked_to_keep(monkeypatch):
    monkeypatch.setattr(maps, "PER_CLASS", 5)
    monkeypatch.setattr(maps, "ABLATIONS", ("mean",))
    monkeypatch.setattr(maps, "TARGET", 0.9)
    nodes = maps.choose("mix-d3").nodes["mean"]
    model, fmt = zoo.load("mix-d3", device="cpu"), Format(3)
    bench = sufficiency.bench(model, fmt, 5, maps.REFERENCE_PER_CLASS, maps.SEED, "+-")
    assert float(bench.kept(nodes).all(1).double().mean()) >= 0.9
    assert len(nodes) < len(bench.nodes) / 2
