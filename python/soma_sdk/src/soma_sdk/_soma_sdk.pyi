from collections.abc import Callable
from os import PathLike
from typing import Any, Final, final

__all__ = [
    "DEBUG",
    "REJECTIONS",
    "VERSION",
    "Client",
    "DecryptionKey",
    "Keypair",
    "Operation",
    "add_stake",
    "architecture",
    "commit_model",
    "commitment",
    "deactivate_model",
    "decrypt_weights",
    "embedding_q15",
    "encrypt_weights",
    "pay",
    "pending_models",
    "reveal_model",
    "reveal_submissions",
    "score",
    "set_model_commission",
    "shutdown",
    "submit_data",
    "verify",
    "withdraw_stake",
]

VERSION: Final[str]
DEBUG: Final[bool]
REJECTIONS: Final[list[tuple[int, str, str, str]]]

@final
class Operation:
    def start(self, done: Callable[[Any, BaseException | None], object]) -> None: ...
    def cancel(self) -> None: ...
    def wait(self) -> str | bytes: ...

@final
class Keypair:
    """An account's secret key. Never printed, never pickled."""

    @staticmethod
    def generate() -> Keypair:
        """Make a fresh key from the operating system's randomness."""
    @staticmethod
    def from_secret_key(secret: str) -> Keypair:
        """Read the key that `soma wallet export` prints: 64 hex digits, with or without `0x`."""
    @staticmethod
    def from_mnemonic(mnemonic: str, account: int = 0) -> Keypair:
        """Derive the key of recovery words, as `soma wallet new` shows them."""
    def address(self) -> str:
        """Return the account's address."""
    def public_key(self) -> str:
        """Return the public key."""
    def sign(self, message: bytes) -> bytes:
        """Sign a message: 64 bytes, which `verify` checks, and which are no signature of a transaction."""
    def to_secret_key(self) -> str:
        """Return the secret key. Whoever has it has the account."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class DecryptionKey:
    """Opens one encrypted container. Public once it is revealed, secret before."""

    @staticmethod
    def from_hex(text: str) -> DecryptionKey:
        """Read the key that `to_hex` wrote."""
    def to_hex(self) -> str:
        """Return the key as 64 hex digits, to be kept until the reveal."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Client:
    def __new__(
        cls,
        address: str,
        home: str | PathLike[str] | None = None,
        chain: str | None = None,
        max_fee: int | None = None,
        max_stake: int | None = None,
    ) -> Client: ...
    @property
    def address(self) -> str: ...
    @property
    def chain(self) -> str | None: ...
    def status(self) -> Operation: ...
    def params(self) -> Operation: ...
    def least_stake(self) -> Operation: ...
    def epoch(self, epoch: int | None = None) -> Operation: ...
    def account(self, address: str) -> Operation: ...
    def models(self, status: str | None = None, owner: str | None = None) -> Operation: ...
    def model(self, model: str) -> Operation: ...
    def targets(
        self,
        limit: int,
        status: str | None = None,
        epoch: int | None = None,
    ) -> Operation: ...
    def target(self, target: str) -> Operation: ...
    def submissions(
        self,
        limit: int,
        submitter: str | None = None,
        target: str | None = None,
        status: str | None = None,
        model: str | None = None,
    ) -> Operation: ...
    def submission(self, submission: str) -> Operation: ...
    def validators(self) -> Operation: ...
    def transaction(self, hash: str) -> Operation: ...
    def fetch_model(self, model: str) -> Operation: ...
    def fetch_model_to(self, model: str, path: str | PathLike[str]) -> Operation: ...
    def fetch_target_data(self, target: str) -> Operation: ...
    def blob(self, hash: str) -> Operation: ...
    def put_blob(self, bytes: bytes) -> Operation: ...
    def wait_for_epoch(self, epoch: int | None = None, timeout: float | None = None) -> Operation: ...
    def faucet(self, address: str, amount: int | None = None) -> Operation: ...

def verify(public_key: str, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is the key's over `message`, as `Keypair.sign` makes it."""

def encrypt_weights(weights: bytes | bytearray) -> tuple[bytes, DecryptionKey]: ...
def decrypt_weights(encrypted_weights: bytes | bytearray, decryption_key: DecryptionKey) -> bytes: ...
def commitment(encrypted_weights: bytes | bytearray) -> str: ...
def pay(client: Client, signer: Keypair, payments: list[tuple[str, int]]) -> Operation: ...
def add_stake(client: Client, signer: Keypair, pool: str, amount: int) -> Operation: ...
def withdraw_stake(client: Client, signer: Keypair, pool: str, amount: int | None = None) -> Operation: ...
def set_model_commission(client: Client, signer: Keypair, model: str, rate: int) -> Operation: ...
def deactivate_model(client: Client, signer: Keypair, model: str) -> Operation: ...
def submit_data(
    client: Client,
    signer: Keypair,
    target: str,
    data: bytes | bytearray,
    scores: tuple[list[int], int, list[int]],
    url: str | None = None,
) -> Operation: ...
def reveal_submissions(client: Client, signer: Keypair) -> Operation: ...
def commit_model(
    client: Client,
    signer: Keypair,
    container: bytes | bytearray,
    url: str | None = None,
    commission: int | None = None,
    model: str | None = None,
    key: DecryptionKey | None = None,
    embedding: list[float] | None = None,
) -> Operation: ...
def reveal_model(
    client: Client,
    signer: Keypair,
    model: str,
    embedding: list[float],
    container: bytes | bytearray | None = None,
    url: str | None = None,
    key: DecryptionKey | None = None,
) -> Operation: ...
def pending_models(client: Client, signer: Keypair) -> Operation: ...
def score(
    models: list[bytes | str],
    documents: list[bytes],
    architecture: str,
    seed: str | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Operation: ...
def embedding_q15(vector: list[float]) -> list[int]: ...
def architecture(text: str) -> str: ...
def shutdown() -> None: ...
