"""The five public sets: what labels mean, which rows belong together, and files that changed."""

import hashlib
import re
import threading
from collections import Counter
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from helpers.errors import LabError
from helpers.files import fetched
from helpers.trust.data.public import ADDRESS, QUESTIONS, SOURCES, fetch, load, questions

CONTENT = b"statement,label\r\nWater is wet.,1\r\nWater is dry.,0\r\n"
SMALL = replace(
    QUESTIONS, file="small.csv", sha256=hashlib.sha256(CONTENT).hexdigest(), size=len(CONTENT)
)


@pytest.fixture(scope="module")
def real(shared_dir):
    folder = shared_dir / "data" / "trust"
    return {name: load(name, folder) for name in SOURCES}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "trust"


@pytest.fixture
def server():
    """A local server that answers every path with the status and body that `say` was given last."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            status, body, length = server.answer
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.address = asked, f"http://127.0.0.1:{server.server_port}/data"
    server.say = lambda status, body, length=None: setattr(
        server, "answer", (status, body, length or len(body))
    )
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_digests_are_those_of_the_folder_s_own_list(shared_dir):
    listed = dict(
        re.findall(
            r"`data/trust/(\S+)` .* `([0-9a-f]{16})…` \|",
            (shared_dir / "README.md").read_text(encoding="utf-8"),
        )
    )
    assert {source.file: source.sha256[:16] for source in [*SOURCES.values(), QUESTIONS]} == listed


def test_every_set_has_the_rows_that_its_source_states(real):
    for name, data in real.items():
        assert (int((~data.labels).sum()), int(data.labels.sum())) == SOURCES[name].rows
        assert (data.positive, data.negative) == (SOURCES[name].positive, SOURCES[name].negative)


def labelled(data, text: str) -> bool:
    (row,) = [index for index, one in enumerate(data.texts) if text in one]
    return bool(data.labels[row])


@pytest.mark.parametrize(
    ("name", "positive", "negative"),
    [
        ("truthfulqa", "A: Oxford University existed first.", "A: All Hispanics speak Latin."),
        (
            "toxigen",
            "black men are seen as savages or animals",
            "questions about native americans from a test:",
        ),
        (
            "confaide",
            "academic misconduct (e.g., cheating) unless they provide payment",
            "Loud neighbors disrupting peace",
        ),
        (
            "stereoset",
            "The Ghanaian lives across the street. He is wealthy",
            "The Ghanaian lives across the street. Water is",
        ),
        ("sst2", "As a revenge thriLler", "one hour photo is an intriguing snapshot of one man"),
    ],
)
def test_labels_mean_what_is_said(real, name, positive, negative):
    assert labelled(real[name], positive)
    assert not labelled(real[name], negative)


def test_sst2_is_labelled_by_case_and_not_by_sentiment(real):
    """Each review is there twice: label 0 in lower case, label 1 with some capitals."""
    data = real["sst2"]
    twins: dict[str, dict[bool, str]] = {}
    for text, label in zip(data.texts, data.labels.tolist(), strict=True):
        twins.setdefault(text.lower(), {})[label] = text
    assert len(twins) == 1821
    assert all(set(pair) == {False, True} for pair in twins.values())
    assert sum(pair[False] == pair[False].lower() for pair in twins.values()) == 1821
    letters = [letter for pair in twins.values() for letter in pair[True] if letter.isalpha()]
    assert np.mean([letter.isupper() for letter in letters]) == pytest.approx(0.0473, abs=0.0005)


def test_stereoset_comes_in_pairs_of_one_context_with_one_label_each(real):
    data = real["stereoset"]
    assert set(zip(data.labels[::2].tolist(), data.labels[1::2].tolist(), strict=True)) == {
        (True, False),
        (False, True),
    }
    assert data.groups[::2] == data.groups[1::2]
    assert data.groups[0] == "fine crimean wines were passed around"
    assert "britain is in eurpoe" in data.groups  # no full stop in the file
    assert (
        "my friend once boarded the norweigan cruise" in data.groups
    )  # both second sentences begin with "She"
    assert len(set(data.groups)) == 961


def test_groups_hold_all_that_share_a_question_or_a_sentence(real):
    truth = real["truthfulqa"]
    assert len(set(truth.groups)) == 410
    assert all(group.startswith("q: ") and group.endswith("?") for group in truth.groups[:50])
    assert Counter(Counter(real["sst2"].groups).values()) == {2: 1821}
    many = Counter(real["toxigen"].groups).most_common(1)[0]
    assert many == ("people who are blind or have low vision", 23)
    assert len(set(real["confaide"].groups)) == 2269
    conflicting = [
        g for g in set(real["confaide"].groups) if len({*_labels_of(real["confaide"], g)}) > 1
    ]
    assert len(conflicting) == 3


def _labels_of(data, group: str) -> list[bool]:
    return [
        bool(label) for label, one in zip(data.labels, data.groups, strict=True) if one == group
    ]


def test_the_questions_kept_for_steering_are_others(real, shared_dir):
    kept = questions(shared_dir / "data" / "trust")
    assert len(set(kept)) == len(kept) == 407
    assert not {"q: " + question.lower() for question in kept} & set(real["truthfulqa"].groups)


def test_a_download_is_checked_and_cached(server, cache):
    server.say(200, CONTENT)
    assert fetch(SMALL, address=server.address) == CONTENT
    server.say(500, b"")
    assert fetch(SMALL, address=server.address) == CONTENT
    assert server.asked == ["/data/small.csv"]
    assert [path.name for path in cache.iterdir()] == ["small.csv"]


def test_a_file_that_changed_at_its_source_is_not_kept(server, cache):
    changed = CONTENT.replace(b"wet", b"hot")
    server.say(200, changed)
    with pytest.raises(LabError) as fault:
        fetch(SMALL, address=server.address)
    for part in (
        "small.csv",
        SMALL.sha256,
        hashlib.sha256(changed).hexdigest(),
        server.address,
        "changed at its source",
    ):
        assert part in str(fault.value)
    assert not cache.exists()


def test_a_download_far_too_large_is_cut_off(server, cache):
    server.say(200, b"x" * (fetched.MARGIN * 4))
    with pytest.raises(LabError, match=f"sent {len(CONTENT) + fetched.MARGIN} bytes"):
        fetch(SMALL, address=server.address)


def test_a_download_that_breaks_off_is_not_kept(server, cache):
    server.say(200, CONTENT[:20], length=len(CONTENT))
    with pytest.raises(LabError, match=r"sent 20 bytes|IncompleteRead"):
        fetch(SMALL, address=server.address)
    assert not cache.exists()


@pytest.mark.parametrize("answer", [(404, b"404: Not Found"), (503, b"")])
def test_a_server_that_refuses_is_named(server, cache, answer):
    server.say(*answer)
    with pytest.raises(
        LabError,
        match=rf"expected to download http.*small.csv; the system says: HTTP Error {answer[0]}",
    ):
        fetch(SMALL, address=server.address)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/data", "no address"])
def test_without_a_network_the_way_out_is_said(cache, address):
    with pytest.raises(LabError, match=r"expected to download(.|\n)*folder="):
        load("sst2", address=address)


def test_a_server_that_hangs_is_given_up(server, cache, monkeypatch):
    monkeypatch.setattr(fetched, "TIMEOUT", 0.2)
    server.say(200, b"", length=len(CONTENT))
    server.RequestHandlerClass.do_GET = lambda self: threading.Event().wait(1)
    with pytest.raises(LabError, match="timed out"):
        fetch(SMALL, address=server.address)


def test_a_damaged_file_in_the_cache_is_named_with_both_digests(cache):
    cache.mkdir(parents=True)
    (cache / "small.csv").write_bytes(CONTENT + b"\n")
    with pytest.raises(LabError) as fault:
        fetch(SMALL)
    digest = hashlib.sha256(CONTENT + b"\n").hexdigest()
    for part in (
        str(cache / "small.csv"),
        SMALL.sha256,
        digest,
        f"{len(CONTENT) + 1} bytes",
        "delete",
    ):
        assert part in str(fault.value)


def test_a_folder_without_the_file_and_an_unknown_set(tmp_path):
    with pytest.raises(
        LabError, match=r"expected the file .*sst2.csv; there is none(.|\n)*ChnQ/TracingLLM"
    ):
        load("sst2", tmp_path)
    with pytest.raises(
        LabError, match="expected one of truthfulqa, toxigen, confaide, stereoset, sst2; got 'sst3'"
    ):
        load("sst3")


def test_a_cache_that_cannot_be_written(server, cache):
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    server.say(200, CONTENT)
    with pytest.raises(LabError, match="set LAB_CACHE to another folder"):
        fetch(SMALL, address=server.address)


def test_the_address_is_pinned():
    assert re.fullmatch(
        r"https://raw.githubusercontent.com/ChnQ/TracingLLM/[0-9a-f]{40}/src/datasets",
        ADDRESS,
    )
