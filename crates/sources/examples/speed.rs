//! What reading costs: `speed make FOLDER` writes a gibibyte of text as JSONL, packed with zstd, and as
//! Parquet; `speed read SRC` reads a source as the commands do; `speed unpack FILE` only unpacks it, which is
//! the least that reading can cost. Run under `/usr/bin/time -v`, which tells the processor's time and the
//! peak of memory.

use std::{
    error::Error,
    fs::File,
    io::{self, Write as _},
    path::Path,
    sync::Arc,
    time::Instant,
};

use parquet::{
    basic::Compression,
    column::page::PageReader as _,
    data_type::{ByteArray, ByteArrayType},
    file::{
        properties::WriterProperties,
        reader::{FileReader as _, SerializedFileReader, SerializedPageReader},
        writer::SerializedFileWriter,
    },
    schema::parser::parse_message_type,
};
use soma_data::{Rules, read};
use soma_sources::documents;

/// The text that is written.
const TEXT_BYTES: usize = 1 << 30;
/// Documents of a row group, as in FineWeb.
const GROUP_ROWS: usize = 1000;
const DOCUMENT_BYTES: usize = 4096;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let started = Instant::now();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["make", folder] => make(Path::new(folder))?,
        ["read", source] => {
            let rules = Rules {
                document_bytes_max: 16 << 20,
                bytes_max: u64::MAX,
                ..Rules::default()
            };
            let mut documents = documents(&[source], &rules, None)?;
            for document in &mut documents {
                document?;
            }
            println!("{}", documents.report());
        }
        ["unpack", file] => println!("{} bytes", unpack(Path::new(file))?),
        _ => return Err("speed make FOLDER | read SRC | unpack FILE".into()),
    }
    println!("{:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// Texts of the repository's samples, each begun elsewhere and numbered, so that no two are the same.
fn make(folder: &Path) -> Result<(), Box<dyn Error>> {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
    let samples = read(&[samples], &Rules::default())?;
    let texts = samples.dataset.documents().iter();
    let all = String::from_utf8_lossy(&texts.flat_map(|d| d.data.clone()).collect::<Vec<_>>()).into_owned();
    let all: Vec<char> = all.chars().collect();
    let text = |index: usize| {
        let start = index * 1_000_003 % (all.len() - DOCUMENT_BYTES);
        format!(
            "{index} {}",
            all[start..start + DOCUMENT_BYTES].iter().collect::<String>()
        )
    };
    let mut lines = zstd::Encoder::new(File::create(folder.join("speed.jsonl.zst"))?, 3)?;
    let schema = "message m { required binary text (UTF8); required binary id (UTF8); }";
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(Default::default()))
        .set_dictionary_enabled(false);
    let mut table = SerializedFileWriter::new(
        File::create(folder.join("speed.parquet"))?,
        Arc::new(parse_message_type(schema)?),
        Arc::new(properties.build()),
    )?;
    let (mut written, mut index) = (0, 0);
    while written < TEXT_BYTES {
        let (mut texts, mut ids) = (Vec::new(), Vec::new());
        for _ in 0..GROUP_ROWS {
            let text = text(index);
            let line = serde_json::json!({"id": format!("<urn:uuid:{index}>"), "text": text});
            writeln!(lines, "{line}")?;
            written += text.len();
            texts.push(ByteArray::from(text.into_bytes()));
            ids.push(ByteArray::from(format!("<urn:uuid:{index}>").into_bytes()));
            index += 1;
        }
        let mut group = table.next_row_group()?;
        for values in [texts, ids] {
            if let Some(mut column) = group.next_column()? {
                column.typed::<ByteArrayType>().write_batch(&values, None, None)?;
                column.close()?;
            }
        }
        group.close()?;
    }
    table.close()?;
    lines.finish()?.flush()?;
    println!("{index} documents, {written} bytes of text");
    Ok(())
}

fn unpack(path: &Path) -> Result<u64, Box<dyn Error>> {
    if path.extension().is_some_and(|ending| ending == "zst") {
        return Ok(io::copy(
            &mut zstd::Decoder::new(File::open(path)?)?,
            &mut io::sink(),
        )?);
    }
    let file = Arc::new(File::open(path)?);
    let reader = SerializedFileReader::new(file.try_clone()?)?;
    let mut bytes = 0;
    for group in reader.metadata().row_groups() {
        let rows = usize::try_from(group.num_rows())?;
        let mut pages = SerializedPageReader::new(Arc::clone(&file), group.column(0), rows, None)?;
        while let Some(page) = pages.get_next_page()? {
            bytes += page.buffer().len() as u64;
        }
    }
    Ok(bytes)
}
