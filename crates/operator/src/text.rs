//! Keys and curves as text: hex after `0x`.

use commonware_codec::{Encode, Read};

/// `value` as hex.
pub(crate) fn encode(value: &impl Encode) -> String {
    format!("0x{}", hex::encode(value.encode()))
}

/// What `text` encodes, and nothing after it; else why not.
pub(crate) fn decode<T: Read>(text: &str, config: &T::Cfg) -> Result<T, String> {
    let digits = text.strip_prefix("0x").ok_or("a value lacks its 0x")?;
    let bytes = hex::decode(digits).map_err(|error| error.to_string())?;
    commonware_codec::Decode::decode_cfg(bytes::Bytes::from(bytes), config).map_err(|error| error.to_string())
}
