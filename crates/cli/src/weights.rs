//! Names of weights files, as `--weights` takes them.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

/// The files of a list with commas. A comma may also be part of a name: of the ways to read the list, the one
/// is taken whose first file exists and is called longest.
pub fn files(lists: &[PathBuf]) -> Vec<PathBuf> {
    lists.iter().flat_map(|list| split(list, Path::exists)).collect()
}

/// Those of `files` that are named more than once, each once.
pub fn repeated(files: &[PathBuf]) -> Vec<&PathBuf> {
    let mut seen = BTreeMap::new();
    for file in files {
        // What is not there is said when it is read.
        let place = file.canonicalize().unwrap_or_else(|_| file.clone());
        seen.entry(place).or_insert_with(Vec::new).push(file);
    }
    seen.into_values()
        .filter(|names| names.len() > 1)
        .map(|names| names[0])
        .collect()
}

fn split(list: &Path, exists: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut rest = list.as_os_str().as_bytes();
    let mut files = Vec::new();
    loop {
        let mut ends = (0..rest.len()).filter(|at| rest[*at] == b',').collect::<Vec<_>>();
        let first = ends.first().copied();
        ends.push(rest.len());
        let name = |end: usize| Path::new(OsStr::from_bytes(&rest[..end]));
        let longest = ends.iter().rev().copied().find(|end| exists(name(*end)));
        let end = longest.or(first).unwrap_or(rest.len());
        files.push(name(end).to_owned());
        if end == rest.len() {
            return files;
        }
        rest = &rest[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_part_files_unless_a_file_is_called_that() {
        let there = ["a", "a,b", "c,d", "e"];
        let exists = |path: &Path| there.iter().any(|name| Path::new(name) == path);
        for (list, expected) in [
            ("a", &["a"][..]),
            ("a,b", &["a,b"]),
            ("a,e", &["a", "e"]),
            ("e,a,b", &["e", "a,b"]),
            ("a,b,c,d", &["a,b", "c,d"]),
            ("x,y", &["x", "y"]),
            ("x,c,d", &["x", "c,d"]),
            ("a,", &["a", ""]),
            ("", &[""]),
        ] {
            let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(split(Path::new(list), exists), expected, "{list}");
        }
        let named = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(repeated(&named(&["a", "b", "a", "a"])), [Path::new("a")]);
        assert!(repeated(&named(&["a", "b"])).is_empty());
        let odd = Path::new(OsStr::from_bytes(b"n\xff,m"));
        assert_eq!(split(odd, exists).len(), 2);
    }
}
