//! The shape as a JSON Schema, from which editors complete and check a system file while it is typed.

use serde_json::{Map, Value, json};

use crate::kind::{Absent, Key, Kind, Section, Syntax};
use crate::shape;

/// A JSON Schema (draft 2020-12) of the system file. It says less than [`crate::parse`] checks: references, for
/// example, are beyond it.
pub fn schema() -> Value {
    let mut schema = section(&shape::SYSTEM);
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("nines system file"));
    Value::Object(schema)
}

fn section(section: &Section) -> Map<String, Value> {
    let keys = || section.keys.iter().filter(|key| !matches!(key.kind, Kind::Later));
    let properties: Map<String, Value> =
        keys().map(|entry| (entry.name.to_owned(), Value::Object(key(entry)))).collect();
    let required: Vec<_> =
        keys().filter(|key| matches!(key.absent, Absent::Required)).map(|key| key.name).collect();
    let mut schema = object(json!({
        "type": "object",
        "description": section.about,
        "properties": properties,
        "additionalProperties": false,
    }));
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    schema
}

fn key(key: &Key) -> Map<String, Value> {
    let mut schema = kind(&key.kind);
    let description = match key.absent {
        Absent::Required => key.about.to_owned(),
        Absent::Value(value) => format!("{} Default: {value}.", key.about),
        Absent::Words(words) => format!("{} Default: {words}.", key.about),
    };
    schema.insert("description".to_owned(), json!(description));
    if let Some(value) = key.default_value() {
        schema.insert("default".to_owned(), value);
    }
    schema
}

fn kind(shape: &Kind) -> Map<String, Value> {
    let quantity = |what: &str, units: &str, examples: &[&str]| {
        let pattern =
            format!("^\\s*[0-9]+(\\.[0-9]+)?\\s*({units})(\\s*[0-9]+(\\.[0-9]+)?\\s*({units}))*\\s*$");
        json!({ "type": "string", "pattern": pattern, "examples": examples, "title": what })
    };
    object(match shape {
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Whole { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Time { .. } => quantity("duration", "ns|us|µs|ms|s|m|min|h|d", &["500ms", "30s", "5min"]),
        Kind::Size { .. } => quantity("size", "B|kB|KB|KiB|MB|MiB|GB|GiB", &["64KiB", "1MiB"]),
        Kind::Share { .. } => {
            json!({ "type": "string", "pattern": "^\\s*[0-9]+(\\.[0-9]+)?\\s*%\\s*$", "examples": ["50 %"], "title": "percentage" })
        }
        Kind::Text(Syntax { what, example }) => {
            json!({ "type": "string", "examples": [example], "title": what })
        }
        Kind::Word(words) => json!({ "enum": words }),
        Kind::List(item) => json!({ "type": "array", "items": kind(item) }),
        Kind::Table(table) => return section(table),
        Kind::Named(item) => json!({ "type": "object", "additionalProperties": kind(item) }),
        Kind::Setting => json!({
            "type": ["string", "number", "boolean", "object"],
            "additionalProperties": { "type": ["string", "number", "boolean"] },
        }),
        Kind::Either(kinds) => json!({ "anyOf": kinds.iter().map(kind).collect::<Vec<_>>() }),
        Kind::Later => json!({}),
    })
}

impl Key {
    /// The default as JSON, if a value says it.
    fn default_value(&self) -> Option<Value> {
        let Absent::Value(value) = self.absent else { return None };
        Some(match (value, value.parse::<u64>()) {
            ("true", _) => json!(true),
            ("false", _) => json!(false),
            (_, Ok(number)) => json!(number),
            (text, Err(_)) => json!(text),
        })
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
