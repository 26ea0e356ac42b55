//! The reference and the schema say what the parser knows: no more, no less.
#![allow(clippy::disallowed_methods)] // The room is pure; a test may read the files that it is about.

use serde_json::Value;

const EVERYTHING: &str = include_str!("../../../examples/everything.toml");

/// What can't stand in one file with the rest.
const INSTEAD: &str = r#"
[coordination.embedded]
path = "/var/lib/nines/coordination"
one_machine = true
[assumptions]
host.every = "365d"
zone.availability = "99.9 %"
region.availability = "99.99 %"
shared.every = "3650d"
change.availability = "99.995 %"
[hosts.db3]
failures.availability = "99.99 %"
[shared.sw1]
failures.every = "3650d"
"#;

#[test]
fn the_reference_in_docs_is_of_this_version() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/system-file.md");
    if std::env::var_os("NINES_WRITE_DOCS").is_some() {
        std::fs::write(path, nines_system::reference()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == nines_system::reference(),
        "docs/system-file.md is out of date; write it by: NINES_WRITE_DOCS=1 cargo test -p nines-system"
    );
}

#[test]
fn the_reference_opens_with_files_that_work() {
    let reference = nines_system::reference();
    let files: Vec<_> =
        reference.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(files.len() >= 2);
    for file in files {
        if let Err(mistakes) = nines_system::parse("docs/system-file.md", file) {
            panic!("{mistakes}");
        }
    }
}

/// Paths of all keys in a file: `pools.*.check.http`.
fn keys_of_file(value: &toml::Value, schema: &Value, path: &str, keys: &mut Vec<String>) {
    match value {
        toml::Value::Table(table) => {
            let schema = object(schema).unwrap_or(schema);
            for (name, value) in table {
                let known = &schema["properties"][name];
                let (name, inner) = match &schema["additionalProperties"] {
                    Value::Object(_) => ("*", &schema["additionalProperties"]),
                    _ => (name.as_str(), known),
                };
                assert!(!inner.is_null(), "the schema does not know {path}.{name}");
                keys.push(format!("{path}.{name}"));
                keys_of_file(value, inner, &format!("{path}.{name}"), keys);
            }
        }
        toml::Value::Array(list) => {
            if let Some(schema) = alternative(schema, "items") {
                list.iter().for_each(|value| keys_of_file(value, &schema["items"], path, keys));
            }
        }
        _ => {}
    }
}

fn object(schema: &Value) -> Option<&Value> {
    alternative(schema, "properties").or_else(|| alternative(schema, "additionalProperties"))
}

/// The schema itself or that of its alternatives which has this.
fn alternative<'a>(schema: &'a Value, what: &str) -> Option<&'a Value> {
    let all = schema["anyOf"].as_array().map_or_else(|| vec![schema], |all| all.iter().collect());
    all.into_iter().find(|schema| !schema[what].is_null())
}

/// Paths of all keys in the schema.
fn keys_of_schema(schema: &Value, path: &str, keys: &mut Vec<String>) {
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        keys.push(format!("{path}.{name}"));
        keys_of_schema(inner, &format!("{path}.{name}"), keys);
    }
    if schema["additionalProperties"].is_object() {
        keys.push(format!("{path}.*"));
        keys_of_schema(&schema["additionalProperties"], &format!("{path}.*"), keys);
    }
    if schema["items"].is_object() {
        keys_of_schema(&schema["items"], path, keys);
    }
    for inner in schema["anyOf"].as_array().into_iter().flatten() {
        keys_of_schema(inner, path, keys);
    }
}

#[test]
fn the_schema_has_the_keys_that_the_example_of_everything_shows_and_no_others() {
    let schema = nines_system::schema();
    let (mut shown, mut known) = (Vec::new(), Vec::new());
    for text in [EVERYTHING, INSTEAD] {
        let table = text.parse::<toml::Table>().map(toml::Value::Table).unwrap();
        keys_of_file(&table, &schema, "", &mut shown);
    }
    keys_of_schema(&schema, "", &mut known);
    for keys in [&mut shown, &mut known] {
        keys.sort();
        keys.dedup();
    }
    assert_eq!(shown, known);
}

#[test]
fn every_key_of_the_schema_is_described() {
    fn described(schema: &Value, path: &str) {
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            let description = inner["description"].as_str().unwrap_or_default();
            assert!(description.len() > 10, "{path}.{name}");
            described(inner, &format!("{path}.{name}"));
        }
        for inner in
            ["additionalProperties", "items"].map(|inner| &schema[inner]).into_iter().filter(|s| !s.is_null())
        {
            described(inner, path);
        }
        schema["anyOf"].as_array().into_iter().flatten().for_each(|inner| described(inner, path));
    }
    described(&nines_system::schema(), "");
}
