//! Reading and writing safetensors, trusting nothing a file says about itself.
//!
//! Form: 8 bytes little-endian header length; the header, a JSON object from tensor name to dtype, shape
//! and byte range; then the values. Bounds: the header is at most [`HEADER_BYTES_MAX`] and within the
//! file before a byte of it is allocated; values are allocated only for tensors that the architecture
//! names, after their byte range was found to lie within the file and to fit shape and dtype.

mod error;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    io::{self, Read, Seek, SeekFrom, Write},
};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use soma_types::text::excerpt;

use crate::{
    layout::TensorSpec,
    tensor::{Tensor, first_not_finite},
};

pub use self::error::{HEADER_BYTES_MAX, WeightsError};

/// Characters of a file's own words that an error quotes.
const QUOTED_MAX: usize = 200;

#[derive(Clone, Copy, Debug)]
enum Dtype {
    F32,
    Bf16,
    F16,
}

impl Dtype {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "F32" => Some(Self::F32),
            "BF16" => Some(Self::Bf16),
            "F16" => Some(Self::F16),
            _ => None,
        }
    }

    const fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 | Self::F16 => 2,
        }
    }

    /// Reads `count` little-endian values, in pieces that are small beside them.
    fn read(self, mut source: impl Read, count: usize) -> io::Result<Tensor> {
        let mut buffer = vec![0; PIECE_BYTES.min(count * self.size())];
        Ok(match self {
            Self::F32 => Tensor::F32(values(&mut source, count, &mut buffer, f32::from_le_bytes)?),
            Self::Bf16 => Tensor::Bf16(values(&mut source, count, &mut buffer, u16::from_le_bytes)?),
            Self::F16 => Tensor::F16(values(&mut source, count, &mut buffer, u16::from_le_bytes)?),
        })
    }
}

/// Bytes read at once.
const PIECE_BYTES: usize = 1 << 18;

fn values<T, const SIZE: usize>(
    source: &mut impl Read,
    count: usize,
    buffer: &mut [u8],
    parse: impl Fn([u8; SIZE]) -> T,
) -> io::Result<Vec<T>> {
    let mut values = Vec::with_capacity(count);
    while values.len() < count {
        let bytes = buffer.len().min((count - values.len()) * SIZE);
        let piece = &mut buffer[..bytes];
        source.read_exact(piece)?;
        values.extend(piece.as_chunks().0.iter().map(|bytes| parse(*bytes)));
    }
    Ok(values)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The header's entries in file order; serde's maps would silently keep the last of two equal names.
struct Header(Vec<(String, Entry)>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object from tensor names to dtype, shape and data_offsets")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut entries = Vec::new();
                let mut metadata = false;
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        if metadata {
                            return Err(serde::de::Error::custom("__metadata__ appears twice"));
                        }
                        metadata = true;
                        map.next_value::<Option<BTreeMap<String, String>>>()?;
                    } else {
                        entries.push((name, map.next_value()?));
                    }
                }
                Ok(Header(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// A tensor whose place in the file has been checked.
struct Placed {
    spec: usize,
    dtype: Dtype,
    begin: u64,
    end: u64,
}

/// No file of these tensors is longer: all of them as F32, behind the largest header.
pub(crate) fn file_bytes_max(specs: &[TensorSpec]) -> u64 {
    let values: u64 = specs.iter().map(|spec| spec.len() as u64).sum();
    8 + HEADER_BYTES_MAX + size_of::<f32>() as u64 * values
}

/// Reads exactly the tensors of `specs`, in the order of `specs`, from a source of `size` bytes.
///
/// # Errors
/// Every deviation from the format or the specs, by name; see [`WeightsError`].
pub fn read(mut source: impl Read, size: u64, specs: &[TensorSpec]) -> Result<Vec<Tensor>, WeightsError> {
    let (_, placed) = places(&mut source, size, specs)?;
    let mut tensors: Vec<Option<Tensor>> = specs.iter().map(|_| None).collect();
    for Placed { spec, dtype, .. } in placed {
        tensors[spec] = Some(tensor(&mut source, dtype, &specs[spec])?);
    }
    Ok(tensors.into_iter().flatten().collect())
}

/// Whether [`read`] would read a source of `size` bytes. One tensor is in memory at a time.
///
/// # Errors
/// As [`read`].
pub fn check(mut source: impl Read, size: u64, specs: &[TensorSpec]) -> Result<(), WeightsError> {
    let (_, placed) = places(&mut source, size, specs)?;
    for Placed { spec, dtype, .. } in placed {
        tensor(&mut source, dtype, &specs[spec])?;
    }
    Ok(())
}

/// A file's tensors one at a time, in any order: of a model that is larger than the memory, too.
#[derive(Debug)]
pub struct Tensors<R> {
    source: R,
    /// Where values begin.
    values_start: u64,
    specs: Vec<TensorSpec>,
    /// In the order of the specs: type, and first byte of the values.
    places: Vec<(Dtype, u64)>,
}

impl<R: Read + Seek> Tensors<R> {
    /// Reads the header of a file of `size` bytes, which holds exactly the tensors of `specs`.
    ///
    /// # Errors
    /// As [`read`], but for values.
    pub fn open(mut source: R, size: u64, specs: Vec<TensorSpec>) -> Result<Self, WeightsError> {
        let (values_start, mut placed) = places(&mut source, size, &specs)?;
        placed.sort_by_key(|placed| placed.spec);
        Ok(Self {
            source,
            values_start,
            specs,
            places: placed
                .into_iter()
                .map(|placed| (placed.dtype, placed.begin))
                .collect(),
        })
    }

    /// The tensor of spec number `index`, in binary32.
    ///
    /// # Errors
    /// When the file cannot be read, or holds a NaN or an infinity there.
    pub fn read(&mut self, index: usize) -> Result<Vec<f32>, WeightsError> {
        let (dtype, begin) = self.places[index];
        self.source.seek(SeekFrom::Start(self.values_start + begin))?;
        Ok(tensor(&mut self.source, dtype, &self.specs[index])?.into_f32())
    }
}

/// Where values begin, and where each tensor is among them, in file order. The source is left at the values.
fn places(
    source: &mut impl Read,
    size: u64,
    specs: &[TensorSpec],
) -> Result<(u64, Vec<Placed>), WeightsError> {
    let truncated = |what: &str, needed| WeightsError::Truncated {
        what: what.into(),
        needed,
        available: size,
    };
    if size < 8 {
        return Err(truncated("the header's length", 8));
    }
    let mut length = [0; 8];
    source.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > HEADER_BYTES_MAX {
        return Err(WeightsError::HeaderTooLarge { length });
    }
    let values_start = 8 + length;
    if values_start > size {
        return Err(truncated("the header", values_start));
    }
    let mut header = vec![0; length as usize];
    source.read_exact(&mut header)?;
    let Header(entries) =
        serde_json::from_slice(&header).map_err(|error| WeightsError::Header(shorten(&error.to_string())))?;
    let placed = place(&entries, specs, size - values_start, values_start)?;
    Ok((values_start, placed))
}

/// The values that come next.
fn tensor(source: impl Read, dtype: Dtype, spec: &TensorSpec) -> Result<Tensor, WeightsError> {
    let tensor = dtype.read(source, spec.len())?;
    check_finite(&spec.name, tensor.first_not_finite())?;
    Ok(tensor)
}

/// Checks the header against the specs and the size of the values; returns the tensors in file order.
fn place(
    entries: &[(String, Entry)],
    specs: &[TensorSpec],
    values_bytes: u64,
    values_start: u64,
) -> Result<Vec<Placed>, WeightsError> {
    let by_name: BTreeMap<&str, usize> = specs
        .iter()
        .enumerate()
        .map(|(i, s)| (s.name.as_str(), i))
        .collect();
    let mut seen = vec![false; specs.len()];
    let mut placed = Vec::with_capacity(specs.len());
    for (name, entry) in entries {
        let Some(&spec) = by_name.get(name.as_str()) else {
            return Err(WeightsError::Unknown { name: shorten(name) });
        };
        let name = || specs[spec].name.clone();
        if std::mem::replace(&mut seen[spec], true) {
            return Err(WeightsError::Duplicate { name: name() });
        }
        let Some(dtype) = Dtype::parse(&entry.dtype) else {
            return Err(WeightsError::Dtype {
                name: name(),
                dtype: shorten(&entry.dtype),
            });
        };
        let shape = &specs[spec].shape;
        if entry.shape.len() != shape.len() || entry.shape.iter().zip(shape).any(|(a, b)| *a != *b as u64) {
            let found = entry.shape.iter().take(8).copied().collect();
            return Err(WeightsError::Shape {
                name: name(),
                expected: shape.clone(),
                found,
            });
        }
        let (begin, end) = entry.data_offsets;
        let expected = (specs[spec].len() * dtype.size()) as u64;
        if end.checked_sub(begin) != Some(expected) {
            return Err(WeightsError::Range {
                name: name(),
                expected,
                begin,
                end,
            });
        }
        if end > values_bytes {
            let needed = values_start.saturating_add(end);
            let available = values_start + values_bytes;
            return Err(WeightsError::Truncated {
                what: format!("tensor '{}'", name()),
                needed,
                available,
            });
        }
        placed.push(Placed {
            spec,
            dtype,
            begin,
            end,
        });
    }
    if let Some(missing) = seen.iter().position(|seen| !seen) {
        let TensorSpec { name, shape } = specs[missing].clone();
        return Err(WeightsError::Missing { name, shape });
    }
    placed.sort_by_key(|tensor| tensor.begin);
    let mut end = 0;
    for tensor in &placed {
        if tensor.begin != end {
            let name = specs[tensor.spec].name.clone();
            return Err(WeightsError::Gap {
                name,
                begin: tensor.begin,
                end,
            });
        }
        end = tensor.end;
    }
    if end != values_bytes {
        return Err(WeightsError::Trailing(values_bytes - end));
    }
    Ok(placed)
}

/// What the file says is bounded and printable in errors, whatever it holds.
fn shorten(text: &str) -> String {
    excerpt(text, QUOTED_MAX).into_owned()
}

/// Refuses a tensor for its first NaN or infinity.
pub(crate) fn check_finite(name: &str, first_bad: Option<(usize, f32)>) -> Result<(), WeightsError> {
    match first_bad {
        None => Ok(()),
        Some((index, value)) => Err(WeightsError::NotFinite {
            name: name.into(),
            value,
            index,
        }),
    }
}

/// Writes F32 tensors canonically: by name, without gaps, header padded with spaces to 8 bytes. The
/// same tensors always give the same bytes.
///
/// # Errors
/// A tensor given twice, holding a NaN or infinity, or with a wrong number of values.
pub fn write(tensors: &[(TensorSpec, &[f32])]) -> Result<Vec<u8>, WeightsError> {
    let specs: Vec<TensorSpec> = tensors.iter().map(|(spec, _)| spec.clone()).collect();
    let length = 8 + specs.iter().map(|spec| 4 * spec.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(length);
    write_each(&specs, &mut bytes, |index| {
        Ok::<_, WeightsError>(tensors[index].1.into())
    })?;
    Ok(bytes)
}

/// The same of tensors that are not in memory together: `values` gives those of a spec, by its number, when
/// they are written.
///
/// # Errors
/// As [`write()`], when `values` or the writer fails.
pub fn write_each<'a, E: From<WeightsError>>(
    specs: &[TensorSpec],
    writer: &mut dyn Write,
    mut values: impl FnMut(usize) -> Result<Cow<'a, [f32]>, E>,
) -> Result<(), E> {
    let mut order: Vec<usize> = (0..specs.len()).collect();
    order.sort_by(|a, b| specs[*a].name.cmp(&specs[*b].name));
    let header = header(order.iter().map(|index| &specs[*index]))?;
    let put = |writer: &mut dyn Write, bytes: &[u8]| writer.write_all(bytes).map_err(WeightsError::from);
    put(writer, &(header.len() as u64).to_le_bytes())?;
    put(writer, header.as_bytes())?;
    for index in order {
        let (spec, values) = (&specs[index], values(index)?);
        if values.len() != spec.len() {
            let (name, expected, found) = (spec.name.clone(), spec.len(), values.len());
            return Err(WeightsError::Length {
                name,
                expected,
                found,
            }
            .into());
        }
        check_finite(&spec.name, first_not_finite(&values, |value| value))?;
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        put(writer, &bytes)?;
    }
    Ok(())
}

/// The header of a file of these tensors, which come in the order of their names.
fn header<'a>(specs: impl Iterator<Item = &'a TensorSpec>) -> Result<String, WeightsError> {
    let (mut header, mut offset, mut before) = (String::from("{"), 0, None);
    for spec in specs {
        if before == Some(&spec.name) {
            return Err(WeightsError::Duplicate {
                name: spec.name.clone(),
            });
        }
        let name = serde_json::Value::from(spec.name.as_str());
        let shape = serde_json::Value::from(spec.shape.clone());
        let end = offset + 4 * spec.len();
        let comma = if before.is_some() { "," } else { "" };
        header +=
            &format!(r#"{comma}{name}:{{"dtype":"F32","shape":{shape},"data_offsets":[{offset},{end}]}}"#);
        (offset, before) = (end, Some(&spec.name));
    }
    header.push('}');
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    Ok(header)
}
