//! Reads which module imports which, from the text of the sources.
//!
//! A Rust crate is read as its top-level modules: the files and folders beside `lib.rs` or `main.rs`. Code for tests does not
//! count. `pkg/src` is read file by file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{code, files, read};

/// The imports of each module.
pub(crate) type Imports = BTreeMap<String, BTreeSet<String>>;

/// Reads the imports between the top-level modules of the crate in `src`.
pub(crate) fn of_crate(src: &Path) -> Imports {
    let root =
        ["lib.rs", "main.rs"].map(|name| src.join(name)).into_iter().find(|path| path.exists());
    let root = program(&read(&root.expect("a crate has a root")));
    let mut imports: Imports =
        modules(&root).into_iter().map(|module| (module, BTreeSet::new())).collect();
    // `crate::Error` stands for `crate::error::Error` if the root says `pub use error::Error`.
    let exported: BTreeMap<String, String> = use_paths(&root)
        .filter_map(|path| {
            let module = path.iter().find(|part| *part != "self" && *part != "crate")?;
            imports.contains_key(module).then(|| Some((path.last()?.clone(), module.clone())))?
        })
        .collect();

    let top_level: Vec<String> = imports.keys().cloned().collect();
    for module in top_level {
        for (depth, path) in module_files(src, &module) {
            let text = program(&read(&path));
            for name in names_in_root(&text, depth) {
                let target = exported.get(&name).unwrap_or(&name);
                if *target != module && imports.contains_key(target) {
                    imports.entry(module.clone()).or_default().insert(target.clone());
                }
            }
        }
    }
    imports
}

/// Reads the imports between the TypeScript files of a folder, types included.
pub(crate) fn of_typescript(src: &Path) -> Imports {
    let src = normalised(src);
    let name = |path: &Path| {
        let path = path.strip_prefix(&src).expect("a file of the folder").with_extension("");
        path.display().to_string()
    };
    let mut imports = Imports::new();
    for path in files(&src, "ts") {
        let text = read(&path);
        let targets =
            text.split('\'').filter(|text| text.starts_with('.') && text.ends_with(".js"));
        let folder = path.parent().expect("a file has a folder");
        let targets = targets.map(|target| name(&normalised(&folder.join(target)))).collect();
        imports.insert(name(&path), targets);
    }
    imports
}

/// Returns one circle of imports, if there is any.
pub(crate) fn circle(imports: &Imports) -> Option<Vec<String>> {
    let mut done = BTreeSet::new();
    imports.keys().find_map(|start| walk(imports, &mut vec![start.clone()], &mut done))
}

fn walk(
    imports: &Imports,
    path: &mut Vec<String>,
    done: &mut BTreeSet<String>,
) -> Option<Vec<String>> {
    let here = path.last()?.clone();
    for next in imports.get(&here).into_iter().flatten() {
        if let Some(start) = path.iter().position(|module| module == next) {
            return Some([&path[start..], std::slice::from_ref(next)].concat());
        }
        if !done.contains(next) {
            path.push(next.clone());
            if let Some(circle) = walk(imports, path, done) {
                return Some(circle);
            }
            path.pop();
        }
    }
    done.insert(here);
    None
}

/// The files of a top-level module, each with its depth below the crate root; without modules that are for tests alone.
fn module_files(src: &Path, module: &str) -> Vec<(usize, PathBuf)> {
    fn add(folder: &Path, module: &str, depth: usize, found: &mut Vec<(usize, PathBuf)>) {
        let inner = folder.join(module);
        let candidates = [folder.join(format!("{module}.rs")), inner.join("mod.rs")];
        let Some(path) = candidates.into_iter().find(|path| path.exists()) else { return };
        for child in modules(&program(&read(&path))) {
            add(&inner, &child, depth + 1, found);
        }
        found.push((depth, path));
    }
    let mut found = Vec::new();
    add(src, module, 1, &mut found);
    found
}

/// The names directly below the crate root that a module at `depth` mentions: `x` in `crate::x`, or in as many `super::` as
/// lead to the root.
fn names_in_root(text: &str, depth: usize) -> BTreeSet<String> {
    let up = "super::".repeat(depth);
    let inline = ["crate::", &up].map(|prefix| {
        let starts =
            text.match_indices(prefix).filter(|(start, _)| !text[..*start].ends_with([':', '_']));
        starts.map(|(start, _)| identifier(&text[start + prefix.len()..])).collect::<Vec<_>>()
    });
    let used = use_paths(text).filter_map(|path| {
        let to_root = match path.iter().take_while(|part| *part == "super").count() {
            0 if path.first().is_some_and(|first| first == "crate") => 1,
            supers if supers == depth => depth,
            _ => return None,
        };
        path.get(to_root).cloned()
    });
    inline.into_iter().flatten().chain(used).filter(|name| !name.is_empty()).collect()
}

/// The modules that a source declares, without those for tests.
fn modules(text: &str) -> Vec<String> {
    let (mut modules, mut for_tests) = (Vec::new(), false);
    for line in text.lines() {
        if line.starts_with("#[") {
            for_tests |= line == "#[cfg(test)]";
            continue;
        }
        let declared = line.strip_suffix(';').and_then(|line| {
            let visible = line.strip_prefix("pub").and_then(|rest| rest.split_once(' '));
            visible.map_or(line, |(_, rest)| rest).strip_prefix("mod ")
        });
        modules.extend(declared.filter(|_| !for_tests).map(str::to_owned));
        for_tests = false;
    }
    modules
}

/// The paths that `use` declarations import, with their groups in braces taken apart.
fn use_paths(text: &str) -> impl Iterator<Item = Vec<String>> {
    let declarations = text.match_indices("use ").filter(|(start, _)| {
        let line = text[..*start].rsplit('\n').next().unwrap_or_default().trim();
        line.is_empty() || line.starts_with("pub")
    });
    declarations.flat_map(|(start, _)| {
        let declaration = text[start + 4..].split(';').next().unwrap_or_default();
        let mut paths = Vec::new();
        expand(declaration, &[], &mut paths);
        paths
    })
}

fn expand(tree: &str, before: &[String], paths: &mut Vec<Vec<String>>) {
    let (path, group) =
        tree.split_once('{').map_or((tree, None), |(path, group)| (path, Some(group)));
    let names = path.split("::").map(identifier).filter(|name| !name.is_empty());
    let path = [before, &names.collect::<Vec<_>>()].concat();
    let Some(group) = group.and_then(|group| group.rsplit_once('}')) else {
        return paths.push(path);
    };
    let (mut depth, mut start) = (0_i32, 0);
    for (at, character) in group.0.char_indices().chain([(group.0.len(), ',')]) {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let tree = group.0[start..at].trim();
                if !tree.is_empty() {
                    expand(tree, &path, paths);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

fn identifier(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// A source without comments and without the tests at its end.
fn program(text: &str) -> String {
    let lines: Vec<&str> = code(text).map(|(_, line)| line).collect();
    let tests = lines.windows(2).position(|two| two == ["#[cfg(test)]", "mod tests {"]);
    lines[..tests.unwrap_or(lines.len())].join("\n")
}

/// The path without `..` and `.`.
fn normalised(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, part| {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => drop(path.pop()),
            part => path.push(part),
        }
        path
    })
}
