"""`soma` reads and submits what lies in a bucket of a server that is not ours: moto's.

It serves S3's lists, pages of a thousand keys, entity tags and ranges, and refuses who has signed
nothing. It checks no signature.
"""

import asyncio
import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from environments import environment
from hosts import ENGLISH, random_weights
from localnet import Localnet, binary
from ports import free_port

from soma_sdk import Keypair, SomaClient

EMBEDDING = [float(index % 5) - 2.0 for index in range(128)]
STARTED_WITHIN = 60.0
SIGNED = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


class Bucket:
    """A bucket that is there, and what is put in it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.put("")

    def put(self, key: str, content: bytes = b"") -> None:
        """Store an object as its owner; without a key, make the bucket."""
        scope = "Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
        headers = {
            "Authorization": f"AWS4-HMAC-SHA256 {scope}",
            "Content-Type": "application/octet-stream",
        }
        url = f"{self.url}/corpus/{key}".rstrip("/")
        request = urllib.request.Request(url, data=content, headers=headers, method="PUT")
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()


@contextmanager
def serving(folder: Path) -> Iterator[Bucket]:
    """Run a server with a bucket called `corpus`."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [environment("s3"), "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (folder / "s3.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        begun = time.monotonic()
        while True:
            try:
                bucket = Bucket(url)
                break
            except OSError:
                assert process.poll() is None, (folder / "s3.log").read_text()
                assert time.monotonic() - begun < STARTED_WITHIN
                time.sleep(0.2)
        yield bucket
    finally:
        process.kill()
        process.wait()


class Soma:
    """The command, with its wallets in a folder, pointed at a bucket's server."""

    def __init__(self, home: Path, bucket: Bucket) -> None:
        self.home = home
        self.endpoint = bucket.url

    def run(self, *args: str, signed: bool = True) -> subprocess.CompletedProcess[str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        env |= {"SOMA_HOME": str(self.home), "AWS_ENDPOINT_URL": self.endpoint}
        env |= SIGNED if signed else {}
        return subprocess.run(
            [binary(), *args, "--json"], env=env, capture_output=True, text=True, check=False, timeout=600
        )

    def ok(self, *args: str) -> Any:
        done = self.run(*args)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refused(self, *args: str, signed: bool = True) -> str:
        done = self.run(*args, signed=signed)
        assert done.returncode != 0, done.stdout
        return done.stderr


def reads_what_is_there(soma: Soma, bucket: Bucket, folder: Path) -> None:
    """A prefix of more keys than one list names, a glob, one object, and what is not to be had."""
    shape = '{"embedding_dim":16,"heads":2,"layers":1,"ffn_dim":32,"max_seq_len":32,"rope_wavelength":10000}'
    (folder / "shape.json").write_text(shape)
    train = ["train", "--arch", str(folder / "shape.json"), "--steps", "1"]
    train += ["--out", str(folder / "w.safetensors"), "--data"]
    for number in range(1_001):
        bucket.put(f"many/{number:04}.txt", f"text {number}".encode())
    bucket.put("a%20b%2Bc/%C3%A9.jsonl", b'{"text":"one"}\n{"text":"two"}\n')
    bucket.put("a%20b%2Bc/_SUCCESS", b"done")
    assert soma.ok(*train, "s3://corpus/many")["data"]["documents"] == 1_001
    assert soma.ok(*train, "s3://corpus/many/000*.txt")["data"]["documents"] == 10
    assert soma.ok(*train, "s3://corpus/a b+c")["data"]["documents"] == 2
    assert soma.ok(*train, "s3://corpus/a b+c/é.jsonl")["data"]["documents"] == 2
    assert "404" in soma.refused(*train, "s3://corpus/nothing/here")
    assert "404" in soma.refused(*train, "s3://elsewhere/many")
    # Whoever has signed nothing may list here, as in a bucket whose policy says so, and reads nothing.
    unsigned = soma.refused(*train, "s3://corpus/many", signed=False)
    assert "access is refused (403)" in unsigned
    assert "AWS_ACCESS_KEY_ID" in unsigned


async def test_what_lies_in_a_bucket_is_read_and_submitted(
    client: SomaClient, rich: Keypair, home: Path, localnet: Localnet, tmp_path: Path
) -> None:
    """Text of a bucket wins a target: listed, fetched, cut, scored, committed and revealed."""
    encrypted, key = SomaClient.encrypt_weights(random_weights(30))
    model = await client.commit_model(rich, None, encrypted, 0)
    with serving(tmp_path) as bucket:
        soma = Soma(home, bucket)
        # Two epochs are waited for, meanwhile.
        reading = asyncio.create_task(asyncio.to_thread(reads_what_is_there, soma, bucket, tmp_path))
        await client.wait_for_next_epoch()
        await client.reveal_model(rich, model, None, encrypted, key, EMBEDDING)
        await client.wait_for_next_epoch()
        await reading
        for part in range(4):
            bucket.put(f"english/{part}.txt", ENGLISH[part * 60_000 : (part + 1) * 60_000])
        network = ["--network", localnet.url]
        await asyncio.to_thread(soma.ok, "wallet", "new", "s3")
        await asyncio.to_thread(soma.ok, "faucet", "s3", *network)
        submit = ["submit", "--wallet", "s3", "--data", "s3://corpus/english", "--hits", "1", *network]
        done = await asyncio.to_thread(soma.ok, *submit)
        assert done["won"] == 1
        (won,) = (document for document in done["documents"] if document["submission"])
        assert won["document"].startswith("s3://corpus/english/")
