//! What is read of rehearsals was measured once, or somebody wrote it: figures that can't have been measured are refused before they
//! come into a prediction.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Tried;

/// No case lasts longer than a month.
const LONGEST_S: f64 = 31.0 * 86_400.0;
/// Nobody has played one more often.
const MOST_OFTEN: u64 = 1_000_000_000;
/// The year 10,000, before which dates have four digits.
const LAST_DAY: u64 = 253_402_300_800;

impl Serialize for Tried {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Tried {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)?.checked().map_err(D::Error::custom)
    }
}

impl Tried {
    /// The same, if all its figures can have been measured; else which can't.
    pub(super) fn checked(self) -> Result<Self, String> {
        let of = format!("{} {}", self.label(), self.fault);
        let predicted = self.predicted.as_ref().and_then(|predicted| predicted.at_most_ms);
        let durations = [
            ("longest_gap_ms", Some(self.longest_gap_ms), 1e3),
            ("promised_gap_ms", self.promised_gap_ms, 1e3),
            ("noticed_ms", self.noticed_ms, 1e3),
            ("taken_over_ms", self.taken_over_ms, 1e3),
            ("recovered_ms", self.recovered_ms, 1e3),
            ("seconds", Some(self.seconds), 1.0),
            ("predicted.at_most_ms", predicted, 1e3),
            ("longest_taken_over_ms", self.longest_taken_over_ms, 1e3),
        ];
        for (name, duration, a_second) in durations {
            let Some(duration) = duration else { continue };
            if !(0.0..=LONGEST_S * a_second).contains(&duration) {
                return Err(format!(
                    "`{name}` of {of} is {duration:?}: not a time that a rehearsal can take"
                ));
            }
        }
        if !(1..=MOST_OFTEN).contains(&self.times) {
            return Err(format!("`times` of {of} is {}: not how often one is played", self.times));
        }
        if self.missed.saturating_add(self.late) > self.times {
            let (missed, late, times) = (self.missed, self.late, self.times);
            return Err(format!("{of} was missed {missed} times and late {late} times, of {times}"));
        }
        if self.at >= LAST_DAY {
            return Err(format!("`at` of {of} is {}: not a time in seconds since 1970", self.at));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{case, report};
    use super::*;
    use nines_rehearsal::Fault;
    use serde_json::{Value, json};

    #[test]
    fn figures_that_nobody_measured_are_refused_by_their_names() {
        let report = report(7, "f", vec![case("lb1", Fault::Kill, 300.0)]);
        let fine = Tried::of(&report, &report.results[0]);
        let written = serde_json::to_value(&fine).unwrap();
        let read = |value: &Value| serde_json::from_str::<Vec<Tried>>(&format!("[{value}]"));
        assert_eq!(read(&written).unwrap(), [fine]);
        for (name, wrong) in [
            ("longest_taken_over_ms", json!(1e300)),
            ("longest_taken_over_ms", json!(-5)),
            ("longest_gap_ms", json!(-0.1)),
            ("seconds", json!(1e9)),
            ("times", json!(0)),
            ("times", json!(u64::MAX)),
            ("at", json!(u64::MAX)),
        ] {
            let mut value = written.clone();
            value[name] = wrong;
            let refused = read(&value).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("`{name}` of lb1 kill is ")), "{refused}");
            assert!(refused.contains(" at line 1 column "), "{refused}");
        }
        let mut value = written;
        value["missed"] = json!(2);
        assert!(read(&value).unwrap_err().to_string().contains("missed 2 times and late 0 times, of 1"));
    }
}
