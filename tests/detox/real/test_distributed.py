"""Two processes take the steps of one; that there were two is counted, not believed."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.detox.real import distributed
from helpers.detox.real.distributed import SharedJob, job_of, main, shared_steps
from helpers.errors import LabError

ROOT = Path(__file__).resolve().parents[3]
PLAN = {
    "steps": 4, "batch": 6, "iterations": 1, "first_samples": 16, "fits": 4, "width": 8,
    "layers": 1, "prompts": 6, "new": 4, "longest": 24, "held_out": 4, "adapter": False,
}  # fmt: skip


@pytest.fixture
def job(shared_dir, tmp_path):
    """A job on a real pre-trained model, with public prompts and the small labeller."""
    data, model = shared_dir / "data" / "detox", shared_dir / "models" / "stories260K"
    if not (data / "toxic.jsonl").is_file() or not model.is_dir():
        pytest.skip("no prompts or no model in the folder `shared`")

    def written(processes: int) -> Path:
        path = tmp_path / f"job-{processes}.json"
        told = {"model": str(model), "processes": processes, "kl_weight": 2.0, "plan": PLAN}
        told |= {"prompts": "decodingtrust", "labeller": "words of rtp", "data": str(data)}
        path.write_text(json.dumps(told))
        return path

    return written


def launched(job: Path, count: int) -> subprocess.CompletedProcess[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(count)),
        *("--master_addr", "127.0.0.1", "--master_port", str(port)),
        *("-m", "helpers.detox.real.distributed", str(job)),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "LAB_DEVICE": "cpu", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500
    )


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(job):
    two = launched(job(2), 2)
    assert two.returncode == 0, two.stderr[-2000:]
    found = json.loads(two.stdout.strip().splitlines()[-1])
    assert found["processes"] == 2
    assert found["kind"] == "MULTI_CPU"
    alone = shared_steps(job_of(job(1)))
    assert alone.processes == 1
    assert len(alone.losses) == len(found["losses"]) == PLAN["steps"]
    for one, both in zip(alone.losses, found["losses"], strict=True):
        assert one.text == pytest.approx(both["text"], abs=1e-4)
        assert one.kl == pytest.approx(both["kl"], abs=1e-4)
        assert one.pull == pytest.approx(both["pull"], abs=1e-4)
    assert alone.losses[0].text != alone.losses[-1].text  # the steps do something


def test_one_process_where_two_were_asked_for_is_one_sentence(job, capsys):
    assert main([str(job(2))]) == 1
    said = capsys.readouterr().err
    assert "expected 2 processes; there is 1, so nothing would be shared" in said
    assert "torch.distributed.run --nproc_per_node 2" in said
    assert "Traceback" not in said


def test_a_job_that_is_none(tmp_path, capsys):
    path = tmp_path / "job.json"
    assert main([str(path)]) == 1
    path.write_text('{"model": "gpt2", "gpus": 8}')
    assert main([str(path)]) == 1
    assert capsys.readouterr().err.count("expected a job as JSON") == 2
    with pytest.raises(LabError, match="number of processes"):
        shared_steps(SharedJob("gpt2", 0))
    with pytest.raises(LabError, match="kl_weight"):
        shared_steps(SharedJob("gpt2", 1, kl_weight=-1))


def test_a_batch_has_a_text_for_each_process():
    class Three:
        process_index, num_processes = 0, 3

    from helpers.detox.real.writing import padded

    rows = padded([([1, 2], 1), ([1, 3], 1)], 0)
    with pytest.raises(LabError, match="a text or more for each process"):
        distributed.Together(Three()).part(rows)
