image = modal.Image.debian_slim(python_version="3.13").pip_install(
    "soma-models[torch]>=0.1.7",
    "datasets>=3.0",
    "torch>=2.0",
)

CHECKPOINT_EVERY = 500
LEARNING_RATE = 1e-4
DROPOUT_RATE = 0.1
MICRO_BATCH_SIZE = 2
GRAD_ACCUM_STEPS = 8  # effective batch size = 2 * 8 = 16
