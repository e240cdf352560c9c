//! Which files of the core a file names: the paths of its `use` trees and those in its code, resolved to `room/file`.

use std::{collections::BTreeSet, fs};

/// A source file.
#[derive(Clone)]
pub struct File {
    /// `room/file`, or `room` where it is the room's own `mod.rs`.
    pub name: String,
    /// The file, by its path from the root.
    pub path: String,
    pub text: String,
}

impl File {
    /// The last part of its name.
    pub fn stem(&self) -> &str {
        self.name.rsplit('/').next().unwrap()
    }
}

/// Every Rust file of the core but `lib.rs`.
pub fn core() -> Vec<File> {
    let mut found = Vec::new();
    for room in fs::read_dir("src").unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for path in fs::read_dir(&room).unwrap().map(|entry| entry.unwrap().path()) {
            let inside = path.strip_prefix("src").unwrap().with_extension("");
            let name = inside.to_str().unwrap();
            let name = name.strip_suffix("/mod").unwrap_or(name).to_owned();
            let text = fs::read_to_string(&path).unwrap();
            found.push(File { name, path: path.to_str().unwrap().to_owned(), text });
        }
    }
    assert!(found.len() > 150, "only {} files", found.len());
    found
}

/// The text without comments, without what is only for tests, and without what fails on purpose.
pub fn in_earnest(text: &str) -> String {
    let mut kept = text.to_owned();
    for attribute in ["#[cfg(test)]", "#[cfg(feature = \"faults\")]"] {
        while let Some(start) = kept.find(attribute) {
            let rest = &kept[start + attribute.len()..];
            let end = rest.find(['{', ';']).unwrap();
            let mut length = end + 1;
            if rest[end..].starts_with('{') {
                let mut depth = 0;
                for (at, character) in rest[end..].char_indices() {
                    depth += i32::from(character == '{') - i32::from(character == '}');
                    if depth == 0 {
                        length = end + at + 1;
                        break;
                    }
                }
            }
            kept.replace_range(start..start + attribute.len() + length, "");
        }
    }
    let code = kept.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

/// The paths of a `use` tree, each as its segments; an alias is left out.
fn leaves(prefix: &[String], tree: &str, found: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    if tree.is_empty() {
        return;
    }
    let segments = |path: &str| {
        let path = path.split(" as ").next().unwrap();
        path.split("::")
            .map(|segment| segment.trim().to_owned())
            .filter(|segment| !segment.is_empty())
            .collect::<Vec<_>>()
    };
    let Some(open) = tree.find('{') else {
        found.push([prefix, &segments(tree)].concat());
        return;
    };
    let prefix = [prefix, &segments(&tree[..open])].concat();
    let (mut depth, mut start) = (0, open + 1);
    for (at, character) in tree.char_indices().skip(open + 1) {
        match character {
            '{' => depth += 1,
            '}' | ',' if depth == 0 => {
                leaves(&prefix, &tree[start..at], found);
                start = at + 1;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
}

/// Every path that begins at the crate's root or above the file, with what it begins with taken off; and those that begin with a room
/// or a file that was imported.
fn named(own: &str, text: &str) -> Vec<Vec<String>> {
    let room = own.split('/').next().unwrap();
    let rooted = |path: Vec<String>| match path.split_first() {
        Some((first, rest)) if first == "crate" => Some(rest.to_vec()),
        Some((first, rest)) if first == "super" && own.contains('/') => Some([&[room.to_owned()], rest].concat()),
        _ => None,
    };
    let (mut found, mut rest) = (Vec::new(), String::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let start = line.trim_start();
        let start =
            start.strip_prefix("pub(crate) ").or(start.strip_prefix("pub(super) ")).or(start.strip_prefix("pub "));
        let start = start.unwrap_or(line.trim_start());
        let Some(first) = start.strip_prefix("use ") else {
            rest.push_str(line);
            rest.push('\n');
            continue;
        };
        let mut tree = first.to_owned();
        while !tree.contains(';') {
            tree.push_str(lines.next().unwrap());
        }
        leaves(&[], tree.split(';').next().unwrap(), &mut found);
    }
    let imported: Vec<Vec<String>> = found.into_iter().filter_map(rooted).collect();
    // Paths in the code.
    let is_name = |character: char| character.is_alphanumeric() || character == '_' || character == ':';
    let mut inline = Vec::new();
    for word in rest.split(|character| !is_name(character)).filter(|word| word.contains("::")) {
        let path: Vec<String> = word.split("::").map(str::to_owned).collect();
        if let Some(path) = rooted(path.clone()) {
            inline.push(path);
        } else if let Some(import) = imported.iter().find(|import| import.last() == path.first()) {
            inline.push([import, &path[1..]].concat());
        }
    }
    [imported, inline].concat()
}

/// The files that a file names, of all that there are.
pub fn paths(file: &File, all: &[File]) -> BTreeSet<String> {
    let names: BTreeSet<&str> = all.iter().map(|file| file.name.as_str()).collect();
    let code = in_earnest(&file.text);
    let is_front = file.path.ends_with("/mod.rs");
    let of = |path: Vec<String>| {
        let two = path.get(..2).map(|two| two.join("/")).filter(|name| names.contains(name.as_str()));
        two.or(path.first().cloned().filter(|name| names.contains(name.as_str())))
    };
    let mut found: BTreeSet<String> = named(&file.name, &code).into_iter().filter_map(of).collect();
    // What a room's front re-exports, and in which room a path begins, is no use of it.
    let is_bare = |name: &str| {
        let front = all.iter().find(|file| file.name == name && file.path.ends_with("/mod.rs"));
        front.is_some_and(|front| {
            !["fn ", "struct ", "enum ", "trait "].iter().any(|item| in_earnest(&front.text).contains(item))
        })
    };
    found.retain(|name| {
        *name != file.name && !is_bare(name) && !(is_front && name.starts_with(&format!("{}/", file.name)))
    });
    found
}
