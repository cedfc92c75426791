"""The user's documents run as they stand, against a localnet.

`snippets/` holds what the documents show of this package, with the line breaks that their copies
lost; a test compares all else with the documents. From outside come what a reader puts in: the
weights and their embedding, a storage and its address, a model's id. `testnet` is the localnet by
the wallets' folder, as a user would point it at a network of their own.
"""

import ast
import asyncio
import inspect
import random
import time
from pathlib import Path
from typing import Any

import pytest
from hosts import ENGLISH, hosting, random_weights

from soma_sdk import Contest, Keypair, RejectedError, Score, SomaClient, Target, errors, rejections, score
from soma_sdk.strategies import by_domain, domain_gaps, won_data

SNIPPETS = Path(__file__).with_name("snippets")
NAMES = sorted(path.stem for path in SNIPPETS.glob("*.py"))
EMBEDDING = [float(index % 5) - 2.0 for index in range(128)]
FILLED_WITHIN = 90.0


def squeezed(text: str) -> str:
    return "".join(text.split())


def snippet(name: str) -> str:
    return (SNIPPETS / f"{name}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_snippets_are_the_documents_own(name: str) -> None:
    places = (parent / "shared/seeds" for parent in Path(__file__).parents)
    seeds = next((place for place in places if place.is_dir()), None)
    if seeds is None:
        pytest.skip("the user's documents (shared/seeds) are not beside this repository")
    documents = [squeezed(path.read_text(encoding="utf-8")) for path in seeds.iterdir()]
    assert any(squeezed(snippet(name)) in document for document in documents)


async def run(text: str, names: dict[str, Any]) -> None:
    """Run a snippet as a notebook does: awaits stand at the top."""
    code = compile(text, "snippet", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, names)
    if inspect.iscoroutine(result):
        await result


# The documents leave it to the interpreter to close files.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
async def test_register_update_and_the_other_operations(
    client: SomaClient,
    rich: Keypair,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOMA_SECRET_KEY", rich.to_secret_key())
    (tmp_path / "model-final.safetensors").write_bytes(random_weights(20))
    (tmp_path / "weights-v2.safetensors").write_bytes(random_weights(21))
    names: dict[str, Any] = {"EMBEDDING": EMBEDDING}
    with hosting() as host:
        names["host"] = host
        text = snippet("register")
        text = text.replace("https://your-storage.example.com/weights.enc", host.put("weights.enc", b""))
        text = text.replace(
            "# ... upload encrypted_weights to WEIGHTS_URL ...",
            'host.put("weights.enc", encrypted_weights)',
        )
        text = text.replace("embedding = [...]", "embedding = EMBEDDING")
        # It has an event loop of its own.
        await asyncio.to_thread(exec, text, names)
        told = capsys.readouterr().out
        (model,) = await client.get_models(owner=rich)
        assert f"Revealed model: {model.id}" in told
        assert (model.commission_rate, model.status) == (1000, "created")
        await client.wait_for_epoch(model.manifest.active_from if model.manifest else 0)
        assert (await client.get_model(model)).status == "active"

        text = snippet("update")
        text = text.replace(
            "https://your-storage.example.com/weights-v2.enc", host.put("weights-v2.enc", b"")
        )
        text = text.replace("# ... upload enc_weights ...", 'host.put("weights-v2.enc", enc_weights)')
        text = text.replace("new_embedding = [...]", "new_embedding = EMBEDDING")
        await run(text, names)
        await names["update"](client, rich, model.id)
        assert "Update revealed" in capsys.readouterr().out
        names |= {"client": client, "signer": rich, "model_id": model.id, "weights": b"weights"}
        for name in ("encrypt", "stake", "commission"):
            await run(snippet(name), names)
        await client.wait_for_next_epoch()
        await run(snippet("fetch_model").replace("0xABC...", model.id), names)
        assert names["model_bytes"] == random_weights(21)
        await run(snippet("registry"), names)
        assert model.id in capsys.readouterr().out
        model = await client.get_model(model)
        assert (model.commission_rate, model.stake >= 20) == (500, True)
        await run(snippet("deactivate"), names)
        with pytest.raises(Exception, match="deactivated"):
            await client.add_stake_to_model(rich, model, 1)


def winner(target: Target, scores: dict[str, Score | None]) -> Score | None:
    """The target's best model's score, of those on this document."""
    known = [scores.get(model) for model in target.models]
    if any(score is None for score in known):
        return None
    return min(
        (score for score in known if score is not None), key=lambda score: score.loss_nano, default=None
    )


async def contested(client: SomaClient, signer: Keypair, target: Target, document: bytes) -> Contest:
    """The contest of a document; what is one of anything else costs nothing."""
    models = list(target.models)
    contest = await client.score(models, document)
    others = [
        (await client.score(models, document + b"."), "other data"),
        (await client.score(models, document, seed="0x" + "11" * 32), "another seed"),
        (await client.score([*models, models[0]], document), "other models"),
    ]
    strangers = [random_weights(77)] * len(models)
    others.append((score(strangers, document, architecture="nano", seed=contest.seed), "other models"))
    for other, reason in others:
        with pytest.raises(errors.InvalidArgument, match=reason):
            await client.submit_data(signer, target, document, contest=other)
    with pytest.raises(errors.InvalidArgument, match="what score has found"):
        await client.submit_data(signer, target, document, contest="x")  # type: ignore[arg-type]
    return contest


async def submit_until_one_hits(client: SomaClient, signer: Keypair) -> str:
    """Try documents on all open targets, until one is submitted; its target."""
    begun = time.monotonic()
    chance = random.Random(time.time_ns())
    models = {model.id: await client.fetch_model(model) for model in await client.get_active_models()}
    while time.monotonic() - begun < FILLED_WITHIN:
        start = chance.randrange(len(ENGLISH) - 200)
        document = ENGLISH[start : start + 200]
        contest = await client.score(list(models.values()), document)
        scores = dict(zip(models, contest.scores, strict=True))
        for target in await client.get_targets(status="open", limit=1000):
            found = winner(target, scores)
            if found is None or not target.open:
                continue
            dot = sum(a * b for a, b in zip(found.embedding_q15, target.embedding_q15, strict=True))
            if dot >= target.threshold_q30:
                found_here = await contested(client, signer, target, document)
                try:
                    await client.submit_data(signer, target, document, contest=found_here)
                except (RejectedError, errors.DataKnown):
                    break  # others, or the epoch's end, were faster
                return target.id
    raise AssertionError("nothing hits")


async def test_data_that_was_submitted_is_fetched(client: SomaClient, rich: Keypair, tmp_path: Path) -> None:
    """A model of one's own, data that hits a target, and the documents' way to that data."""
    encrypted, key = SomaClient.encrypt_weights(random_weights(22))
    model = await client.commit_model(rich, None, encrypted, 0)
    await client.wait_for_next_epoch()
    await client.reveal_model(rich, model, None, encrypted, key, EMBEDDING)
    await client.wait_for_next_epoch()
    before = await client.get_balance(rich)
    (some, *_) = await client.get_targets(status="open", limit=1)
    with pytest.raises(rejections.LossBand, match="noise and filler never pay"):
        await client.submit_data(rich, some, bytes(range(128, 256)))
    assert await client.get_balance(rich) == before, "not even a deposit"
    target = await submit_until_one_hits(client, rich)
    (submission,) = await client.get_submissions(submitter=rich)
    assert submission.target_id == target
    begun = time.monotonic()
    while (await client.get_target(target)).status != "filled":
        assert time.monotonic() - begun < FILLED_WITHIN
        await asyncio.sleep(0.5)
    names: dict[str, Any] = {"client": client}
    for name in ("fetch_data", "gaps"):
        await run(snippet(name), names)
    assert any(SomaClient.commitment(data) == submission.data_hash for data in names["training_data"])
    mine = await client.get_targets(status="filled", submitter=rich)
    assert [entry.id for entry in mine] == [target]
    (submission,) = await client.get_submissions(submitter=rich)
    assert submission.status in {"won", "paid"}

    # The strategies' parts: what others win is a gap, to the nano-nat.
    data = await client.fetch_submission_data(target)
    (gap,) = (gap for gap in await domain_gaps(client, random_weights(22)) if gap.target_id == target)
    assert (gap.winner, gap.data) == (submission.model_id, data)
    if gap.winner == model:
        assert gap.gap_nano == 0, "the same weights have the same loss"
        assert target not in {gap.target_id for gap in await domain_gaps(client, model)}
    other = tmp_path / "other.safetensors"
    other.write_bytes(random_weights(23))
    gaps = await domain_gaps(client, str(other), model_id=model, limit=10)
    assert [gap.gap_nano for gap in gaps] == sorted((gap.gap_nano for gap in gaps), reverse=True)
    assert model not in {gap.winner for gap in gaps}
    assert sum(domain.targets for domain in by_domain(gaps)) == len(gaps)
    if submission.status == "won":
        files = await won_data(client, str(submission.model_id), tmp_path / "won")
        (file,) = (file for file in files if file.name == target)
        assert file.read_bytes() == data
        file.write_bytes(b"is not fetched again")
        await won_data(client, str(submission.model_id), tmp_path / "won")
        assert file.read_bytes() == b"is not fetched again"
