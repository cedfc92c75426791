//! What a wallet may be called.

use soma_types::secrecy::repeatable;

use super::error::{NAME_LENGTH_BYTES_MAX, WalletError};

/// A name of this many hex digits or more would be taken for an address, and may be a key typed in its place.
const NAME_HEX_DIGITS_MAX: usize = 31;

pub(super) fn check_name(name: &str) -> Result<(), WalletError> {
    let characters = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if name.is_empty() || name.len() > NAME_LENGTH_BYTES_MAX || !characters {
        return Err(WalletError::BadName {
            name: repeatable(name),
        });
    }
    Ok(())
}

/// New wallets have names that no command mistakes; older ones are still read.
pub(super) fn check_new_name(name: &str) -> Result<(), WalletError> {
    check_name(name)?;
    let digits = name.strip_prefix("0x").or_else(|| name.strip_prefix("0X"));
    let what = if name.starts_with('-') {
        "an option"
    } else if digits.is_some()
        || name.len() > NAME_HEX_DIGITS_MAX && name.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        "an address or a key"
    } else {
        return Ok(());
    };
    Err(WalletError::Misleading {
        name: repeatable(name),
        what,
    })
}
