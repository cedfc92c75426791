"""What PyTorch users count on besides the numbers."""

import pytest
import torch
from cases import SMALL, random_file
from frameworks import Torch, batch_of
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from soma_models.errors import InputError
from soma_models.v1.configs import ModelConfig
from soma_models.v1.layout import layout
from soma_models.v1.torch import Model, SIGReg, SIGRegConfig, compute_loss

TRAINING = SMALL.replace(dropout_rate=0.1)


def tensors(data=b"compiled and in one graph", length=SMALL.max_seq_len):
    return tuple(torch.tensor(part) for part in batch_of(data, length))


def test_parameters_are_the_files_tensors_in_every_model():
    want = [(spec.name, spec.shape) for spec in layout(SMALL)]
    for model in (Model(SMALL), Model.load_bytes(random_file(SMALL), TRAINING)):
        assert [(name, tuple(p.shape)) for name, p in model.named_parameters()] == want
        assert model.state_dict().keys() == dict(model.named_parameters()).keys()
        assert all(p.requires_grad and p.dtype == torch.float32 for p in model.parameters())


def test_a_loaded_model_owns_its_weights_and_trains():
    file = bytes(random_file(SMALL))
    model = Model.load_bytes(file, SMALL)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss, _ = compute_loss(model, SIGReg(SIGRegConfig()), *tensors())
    loss.backward()
    optimizer.step()
    assert model.save_bytes() != file
    assert random_file(SMALL) == file


@pytest.mark.parametrize("config", [TRAINING, TRAINING.replace(gradient_checkpointing=True)])
def test_loss_and_gradients_compile_to_one_graph(config):
    model, sig_reg = Model.load_bytes(random_file(SMALL), config), SIGReg(SIGRegConfig())
    compiled = torch.compile(compute_loss, fullgraph=True, backend="aot_eager")
    loss, embedding = compiled(model, sig_reg, *tensors())
    (loss + embedding.sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    again, _ = compiled(model, sig_reg, *tensors())
    assert again != loss, "dropout and directions are drawn anew in each step"


def test_a_compiled_model_computes_the_same():
    directions = torch.nn.functional.normalize(torch.randn(SMALL.embedding_dim, 8), dim=0)
    sig_reg = SIGReg(SIGRegConfig(), directions)
    model = Model.load_bytes(random_file(SMALL), SMALL)
    eager, embedding = compute_loss(model, sig_reg, *tensors())
    compiled = torch.compile(model, fullgraph=True)  # by Inductor, as users do
    loss, same = compute_loss(compiled, sig_reg, *tensors())
    assert loss.item() == pytest.approx(eager.item(), abs=2e-6)
    torch.testing.assert_close(same, embedding, atol=2e-6, rtol=0)
    assert compiled.save_bytes() == model.save_bytes()


@pytest.mark.parametrize("config", [TRAINING, TRAINING.replace(compute_dtype="bfloat16")])
def test_no_step_waits_for_the_device(config):
    """Fake tensors have no values: whatever asked for one, as a wait does, would fail."""
    with FakeTensorMode():
        model, sig_reg = Model(config), SIGReg(SIGRegConfig())
        optimizer = torch.optim.AdamW(model.parameters(), foreach=True)
        token_ids = torch.zeros(2, 16, dtype=torch.int64)
        loss, embedding = compute_loss(model, sig_reg, token_ids, token_ids)
        (loss + embedding.sum()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with pytest.raises(DataDependentOutputException):
            loss.item()


def test_autocast_computes_in_bfloat16():
    model, sig_reg = Model.load_bytes(random_file(SMALL), SMALL), Torch.sig_reg(count=0)
    exact, _ = compute_loss(model, sig_reg, *tensors())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        representations, logits = model(tensors()[0])
        loss, embedding = compute_loss(model, sig_reg, *tensors())
    assert logits.dtype == torch.bfloat16
    assert representations.dtype == embedding.dtype == loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=0.02)
    loss.backward()
    assert all(p.grad.dtype == torch.float32 for p in model.parameters())


def test_attention_is_pytorchs_own():
    """So that a GPU runs its fused kernels."""
    seen = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(str(func))
            return func(*args, **(kwargs or {}))

    with Watch():
        Model(SMALL).encode(tensors()[0])
    fused = [name for name in seen if "scaled_dot_product" in name]
    assert len(fused) == SMALL.layers, seen
    assert not any("softmax" in name for name in seen)


def test_int32_tokens_will_do():
    model, sig_reg = Model(SMALL), Torch.sig_reg(count=0)
    loss, _ = compute_loss(model, sig_reg, *tensors())
    same, _ = compute_loss(model, sig_reg, *(part.int() for part in tensors()))
    assert loss == same


def test_what_lies_on_another_device_is_refused_by_name():
    model, token_ids, targets = Model(SMALL), *tensors()
    sig_reg = SIGReg(SIGRegConfig(), torch.ones(SMALL.embedding_dim, 4))
    with pytest.raises(InputError, match="token_ids are on meta, the model on cpu: move one"):
        compute_loss(model, sig_reg, token_ids.to("meta"), targets.to("meta"))
    with pytest.raises(InputError, match="targets are on meta, token_ids on cpu"):
        compute_loss(model, sig_reg, token_ids, targets.to("meta"))
    with pytest.raises(InputError, match="token_ids are on cpu, the model on meta"):
        Model(SMALL).to("meta").encode(token_ids)
    with pytest.raises(InputError, match="SIGReg's directions are on meta"):
        compute_loss(model, sig_reg.to("meta"), token_ids, targets)


def test_tokens_beyond_the_vocabulary_are_refused_on_the_cpu():
    with pytest.raises(IndexError):
        Model(SMALL).encode(torch.tensor([[264]]))


def test_a_large_model_is_loaded_without_drawing_weights():
    config = ModelConfig.nano()
    file = Model(config).save_bytes()
    state = torch.get_rng_state()
    Model.load_bytes(file, config)
    assert torch.equal(torch.get_rng_state(), state)
