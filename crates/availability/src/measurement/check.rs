//! Whether what comes from elsewhere can be reckoned with: a file may say anything.

use super::{Measured, Second};

/// The end of the year 9999.
const LAST: Second = 253_402_300_799;

impl Measured {
    /// # Errors
    /// What is wrong with it, after "what lb1 measured".
    pub fn check(&self) -> Result<(), String> {
        if self.version != 1 {
            return Err(format!("is written as version {}, and this program knows 1", self.version));
        }
        if !(self.objective > 0.0 && self.objective < 1.0) {
            return Err(format!("has an objective of {}: it is a share between 0 and 1", self.objective));
        }
        let last = self.history.presence().map_or(0, |(_, last)| last);
        let events = self.history.events().map(|event| event.at_ms / 1000);
        if events.chain([self.now, self.ahead, last]).any(|second| second > LAST) {
            return Err("is of a time that nobody will see".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::{Day, Minute, Report, usual_windows};
    use super::*;

    fn number() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(json!(1)),
            Just(json!(0.999)),
            Just(json!(LAST)),
            any::<u64>().prop_map(|of| json!(of)),
            any::<i64>().prop_map(|of| json!(of)),
            any::<f64>().prop_map(|of| json!(of)),
            Just(json!(1_795_000_000u64)),
            Just(json!(1e308)),
            Just(Value::Null),
        ]
    }

    fn day() -> impl Strategy<Value = String> {
        let count = || prop_oneof![0..5u64, Just(u64::MAX >> 2), any::<u64>()];
        let minute = (any::<u64>(), any::<u64>(), count(), count());
        prop::collection::vec(minute, 0..6).prop_map(|minutes| {
            let minutes: Vec<Minute> =
                minutes.into_iter().map(|(up, down, good, bad)| Minute::new(up, down, good, bad)).collect();
            Day::pack(&minutes).bytes().iter().map(|byte| format!("{byte:02x}")).collect()
        })
    }

    fn wrong() -> impl Strategy<Value = Option<(usize, Value)>> {
        prop::option::of((0..5usize, number()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// It is refused in words, or there is a report; never a panic.
        #[test]
        fn whatever_a_file_says_there_is_a_report_or_a_word(
            days in prop::collection::btree_map(prop_oneof![20_770..20_780u64, 0..30_000_000u64], day(), 0..4),
            wrong in wrong(),
        ) {
            let days: serde_json::Map<String, Value> =
                days.into_iter().map(|(number, day)| (number.to_string(), json!(day))).collect();
            let mut said = json!({
                "version": 1, "system": "shop", "objective": 0.999, "objective_text": "99.9 %", "now": 1_795_500_000u64,
                "ahead": 0, "kept_in": null, "problems": [], "related": {},
                "history": {
                    "vantage": "lb1",
                    "series": {"listener a": days.clone(), "url http://b/": days},
                    "events": [{"at_ms": 1_795_000_000_000u64, "kind": "down", "subject": "a", "why": ""}],
                },
            });
            if let Some((place, value)) = wrong {
                match place {
                    4 => said["history"]["events"][0]["at_ms"] = value,
                    place => said[["version", "objective", "now", "ahead"][place]] = value,
                }
            }
            let Ok(measured) = serde_json::from_value::<Measured>(said) else { return Ok(()) };
            if measured.check().is_ok() {
                prop_assert!(measured.version == 1 && measured.objective < 1.0);
                let report = Report::of(&[measured.clone(), measured], 0, &usual_windows(), None);
                prop_assert!(serde_json::to_string(&report).is_ok());
            }
        }
    }
}
