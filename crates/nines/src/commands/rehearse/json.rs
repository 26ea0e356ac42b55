//! JSON as people read it, with lists of numbers on one line: a timeline has hundreds of them.

use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;

/// # Errors
/// When it can't be told as JSON.
pub(super) fn pretty(value: &impl Serialize) -> serde_json::Result<String> {
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, Lines::default());
    value.serialize(&mut serializer)?;
    // serde_json writes nothing else.
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// Objects have a line for each key; lists none of their own.
#[derive(Default)]
struct Lines {
    depth: usize,
    /// Whether the innermost object has a key already.
    filled: bool,
}

impl Lines {
    fn line<W: ?Sized + io::Write>(&self, out: &mut W) -> io::Result<()> {
        out.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| out.write_all(b"  "))
    }
}

impl Formatter for Lines {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        out.write_all(b"{")
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth -= 1;
        if self.filled {
            self.line(out)?;
        }
        self.filled = true;
        out.write_all(b"}")
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if !first {
            out.write_all(b",")?;
        }
        self.filled = true;
        self.line(out)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_list_of_numbers_is_one_line_and_all_of_it_is_json() {
        let value = json!({"a": [1, 2, 3], "b": {}, "c": [], "d": [{"e": "x\n"}, {"e": null}]});
        let text = pretty(&value).unwrap();
        assert!(text.contains("\n  \"a\": [1, 2, 3],\n  \"b\": {},\n  \"c\": [],\n"), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
