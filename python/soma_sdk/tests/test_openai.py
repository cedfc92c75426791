"""OpenAI's own client and curl talk to `soma serve`, and what it answered is computed again."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from environments import environment
from hosts import NANO, random_weights
from localnet import binary

from soma_models.v1 import weights

PROGRAM = """
import json, sys
from openai import BadRequestError, NotFoundError, OpenAI

client = OpenAI(base_url=sys.argv[1], api_key="any", max_retries=0)
models = list(client.models.list())
assert [model.id for model in models] == ["whole", "one", "two"]
assert client.models.retrieve("two") == models[2]

ask = {"model": "whole", "prompt": "Once upon", "max_tokens": 24, "temperature": 0.7, "seed": 5}
answer = client.completions.create(**ask)
(choice,) = answer.choices
assert choice.finish_reason in ("length", "stop")
assert answer.usage.prompt_tokens == 9
assert answer.usage.total_tokens == 9 + answer.usage.completion_tokens
assert client.completions.create(**ask).choices[0].text == choice.text

parts = list(client.completions.create(**ask, stream=True))
assert "".join(part.choices[0].text for part in parts if part.choices) == choice.text
assert parts[-1].soma == answer.soma

many = client.completions.create(**{**ask, "n": 2, "logprobs": 2, "stop": ["\\n"]})
assert [choice.index for choice in many.choices] == [0, 1]
scored = many.choices[0].logprobs
assert len(scored.tokens) == len(scored.token_logprobs)
assert all(logprob < 0 for logprob in scored.token_logprobs)
assert all(len(top) == 2 for top in scored.top_logprobs)

echo = client.completions.create(model="one", prompt=["Once", "upon"], max_tokens=0, echo=True, logprobs=1)
assert [choice.text for choice in echo.choices] == ["Once", "upon"]
assert echo.choices[1].logprobs.text_offset == [0, 1, 2, 3]

# The client asks for base64 where nothing is said, and makes numbers of it.
vectors = [
    client.embeddings.create(model="two", input=["Once", "upon"], **kind).data
    for kind in ({}, {"encoding_format": "float"})
]
for plain, other in zip(*vectors):
    assert list(plain.embedding) == other.embedding
    assert len(plain.embedding) == 128

for wrong, error in (({"model": "none"}, NotFoundError), ({"temperature": -1}, BadRequestError)):
    try:
        client.completions.create(**{**ask, **wrong})
        raise SystemExit(f"{wrong} was answered")
    except error as refused:
        assert refused.type == "invalid_request_error"
        print(refused.body["message"])
print(answer.to_json())
"""

# The status was sent when the model overflows.
FAILING = """
import sys
from openai import APIError, OpenAI

client = OpenAI(base_url=sys.argv[1], api_key="any", max_retries=0)
try:
    parts = list(client.completions.create(model="broken", prompt="az", stream=True))
    raise SystemExit(f"an error is no part of an answer: {parts}")
except APIError as error:
    print(error.message)
"""


@contextmanager
def serving(folder: Path, names: str) -> Iterator[str]:
    command = [binary(), "serve", "--listen", "127.0.0.1:0", "--json", "--weights", names]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = ""
    while not told.endswith("}\n"):
        line = process.stdout.readline()
        assert line, f"it ended: {told}"
        told += line
    yield json.loads(told)["url"]
    process.terminate()
    process.stdout.close()
    assert process.wait(30) == 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    for seed, name in enumerate(("one", "two")):
        (tmp_path / f"{name}.safetensors").write_bytes(random_weights(seed))
    with serving(tmp_path, "one.safetensors,two.safetensors") as url:
        yield url


def official(program: str, url: str) -> list[str]:
    """What a program prints that uses OpenAI's own client."""
    done = subprocess.run(
        [environment("openai"), "-W", "error", "-c", program, url],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_stream_that_fails_raises(tmp_path: Path) -> None:
    tensors = weights.load_bytes(random_weights(0), NANO)
    tensors["embedding.weight"][ord("z")] = 3e38
    (tmp_path / "broken.safetensors").write_bytes(weights.save_bytes(tensors, NANO))
    with serving(tmp_path, "broken.safetensors") as url:
        (why,) = official(FAILING, url)
    assert why.startswith("model 0: "), why


def test_the_official_client_is_answered(server: str, tmp_path: Path) -> None:
    none, wrong, *answer = official(PROGRAM, server)
    assert none == "there is no model 'none' here, only whole, one, two"
    assert wrong.startswith("a temperature of -1 is none")
    (tmp_path / "answer.json").write_text("\n".join(answer))
    models = ["--weights", "two.safetensors,one.safetensors"]
    again = subprocess.run(
        [binary(), "verify", "answer.json", *models],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert "these models write all of it: 1 text," in again.stdout


def test_curl_is_answered(server: str) -> None:
    if (curl := shutil.which("curl")) is None:
        pytest.skip("no curl")
    ask = '{"model":"whole","prompt":"Once upon","max_tokens":3,"seed":7}'
    done = subprocess.run(
        [curl, "-sS", f"{server}/completions", "-d", ask],
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(done.stdout)["choices"][0]["finish_reason"] in {"length", "stop"}, done.stdout
