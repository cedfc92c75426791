"""OpenAI's own client and curl talk to `soma serve`, and what it answered is computed again."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from environments import environment
from hosts import random_weights
from localnet import binary

PROGRAM = """
import json, sys
from openai import BadRequestError, NotFoundError, OpenAI

client = OpenAI(base_url=sys.argv[1], api_key="any", max_retries=0)
assert [model.id for model in client.models.list()] == ["whole", "one", "two"]

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
        print(refused.response.json()["detail"])
print(answer.to_json())
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    for seed, name in enumerate(("one", "two")):
        (tmp_path / f"{name}.safetensors").write_bytes(random_weights(seed))
    models = ["--weights", "one.safetensors,two.safetensors"]
    command = [binary(), "serve", "--listen", "127.0.0.1:0", "--json", *models]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
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


def test_the_official_client_is_answered(server: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [environment("openai"), "-W", "error", "-c", PROGRAM, server],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    none, wrong, *answer = done.stdout.splitlines()
    assert none == "there is no model 'none' here, only whole, one, two"
    assert wrong.startswith("a temperature of -1 is none")
    (tmp_path / "answer.json").write_text("\n".join(answer))
    models = ["--weights", "two.safetensors,one.safetensors"]
    again = subprocess.run(
        [binary(), "recompute", "answer.json", *models],
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
