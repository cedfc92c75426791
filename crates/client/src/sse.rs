//! Server-sent events, decoded as they stream (WHATWG HTML, section 9.2).
//!
//! # Bounds
//!
//! A message longer than [`MESSAGE_LENGTH_BYTES_MAX`] ends the stream with an error.

/// Longest message, in bytes.
pub const MESSAGE_LENGTH_BYTES_MAX: usize = 1 << 20;

/// One message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The `event` field; empty where the sender gave none.
    pub event: String,
    /// The `data` fields, joined by line feeds.
    pub data: String,
    /// The latest `id` field, from which a stream can be resumed.
    pub id: Option<String>,
}

/// A message longer than the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {MESSAGE_LENGTH_BYTES_MAX} bytes")]
pub struct MessageTooLong;

/// Turns bytes, cut anywhere, into messages.
#[derive(Debug, Default)]
pub struct Decoder {
    line: Vec<u8>,
    after_carriage_return: bool,
    message: Message,
    last_id: Option<String>,
    has_data: bool,
    length_bytes: usize,
}

impl Decoder {
    /// Takes bytes in; the messages they complete.
    ///
    /// # Errors
    /// When a message is longer than this client accepts.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Message>, MessageTooLong> {
        let mut messages = Vec::new();
        for &byte in bytes {
            let after_carriage_return = std::mem::replace(&mut self.after_carriage_return, byte == b'\r');
            match byte {
                b'\n' if after_carriage_return => {}
                b'\n' | b'\r' => messages.extend(self.end_line()),
                _ => {
                    self.length_bytes += 1;
                    if self.length_bytes > MESSAGE_LENGTH_BYTES_MAX {
                        return Err(MessageTooLong);
                    }
                    self.line.push(byte);
                }
            }
        }
        Ok(messages)
    }

    /// The id after which a new stream goes on: the latest of a message that is whole, be it without data.
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    fn end_line(&mut self) -> Option<Message> {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        if line.is_empty() {
            self.length_bytes = 0;
            let id = self.message.id.clone();
            self.last_id.clone_from(&id);
            let message = std::mem::replace(
                &mut self.message,
                Message {
                    id,
                    ..Message::default()
                },
            );
            return std::mem::take(&mut self.has_data).then_some(message);
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.message.event),
            "data" => {
                if self.has_data {
                    self.message.data.push('\n');
                }
                self.has_data = true;
                self.message.data.push_str(value);
            }
            "id" if !value.contains('\0') => self.message.id = Some(value.to_owned()),
            // Comments (an empty field name), retry hints and unknown fields.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(event: &str, data: &str, id: Option<&str>) -> Message {
        Message {
            event: event.to_owned(),
            data: data.to_owned(),
            id: id.map(str::to_owned),
        }
    }

    const STREAM: &str = ": keep-alive\n\ndata: one\n\nevent: block\r\nid: 7\r\ndata: a\r\ndata:b\r\n\r\nevent: empty\n\n\
         data\ndata\nretry: 3\nnonsense\n\ndata: cut off";

    fn expected() -> Vec<Message> {
        vec![
            message("", "one", None),
            message("block", "a\nb", Some("7")),
            message("", "\n", Some("7")),
        ]
    }

    #[test]
    fn streams_decode() {
        assert_eq!(Decoder::default().push(STREAM.as_bytes()).unwrap(), expected());
    }

    /// A message that is cut off does not count, though its id came; one without data does.
    #[test]
    fn whole_messages_alone_move_the_id() {
        let mut decoder = Decoder::default();
        let mut after = |bytes: &str| {
            let messages = decoder.push(bytes.as_bytes()).unwrap().len();
            (messages, decoder.last_id().map(str::to_owned))
        };
        assert_eq!(after(": hello\n\n"), (0, None));
        assert_eq!(after("id: 7\n"), (0, None));
        assert_eq!(after("\n"), (0, Some("7".into())));
        assert_eq!(after("id: 8-0\ndata: a\n"), (0, Some("7".into())));
        assert_eq!(after("\nid: 8-1\nda"), (1, Some("8-0".into())));
    }

    #[test]
    fn endless_messages_end() {
        let mut decoder = Decoder::default();
        let line = [&b"data: "[..], &[b'x'; 1000], b"\n"].concat();
        assert_eq!(
            (0..2000).find_map(|_| decoder.push(&line).err()),
            Some(MessageTooLong)
        );
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(mut cuts in proptest::collection::vec(0..STREAM.len(), 0..20)) {
            cuts.sort_unstable();
            let (mut decoder, mut messages, mut start) = (Decoder::default(), Vec::new(), 0);
            for cut in cuts.into_iter().chain([STREAM.len()]) {
                messages.extend(decoder.push(&STREAM.as_bytes()[start..cut]).unwrap());
                start = cut;
            }
            prop_assert_eq!(messages, expected());
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            let _ = Decoder::default().push(&bytes);
        }
    }
}
