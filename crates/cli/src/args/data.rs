//! What is read of sources, the same for every command that reads them.

use bytesize::ByteSize;
use clap::Args;
use soma_data::{Filter, Rules, Want};

/// What to read of the sources.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Data")]
pub struct Selection {
    /// The field of JSONL or column of Parquet that holds the text. [default: text, or content]
    #[arg(long, value_name = "NAME")]
    pub column: Option<String>,
    /// Read only the records of which this holds; given more than once, of which all hold.
    ///
    /// FIELD=VALUE and FIELD!=VALUE compare exactly, FIELD<=NUMBER and FIELD>=NUMBER numbers: language=en,
    /// int_score>=4. A record without that field is left out.
    #[arg(long = "where", value_name = "FIELD=VALUE")]
    pub filters: Vec<Filter>,
    /// Stop reading once there is this much text, and leave the rest where it is.
    #[arg(long, value_name = "SIZE")]
    pub take: Option<ByteSize>,
}

impl Selection {
    /// Whether everything is read.
    pub const fn is_default(&self) -> bool {
        self.column.is_none() && self.filters.is_empty() && self.take.is_none()
    }

    /// Rules for reading this much into memory.
    pub fn rules(&self) -> Rules {
        Rules {
            take_bytes: self.take.map(|size| size.as_u64()),
            want: Want {
                column: self.column.clone(),
                filters: self.filters.clone(),
                ..Want::default()
            },
            ..Rules::default()
        }
    }
}
