//! What was forecast beside what was seen.

use super::{Forecast, Loss};

/// What clients saw of a fault.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observed {
    /// The longest time without a good answer, in seconds, and how closely that was looked at: the time between two questions, and
    /// how late whoever asked was.
    pub gap: f64,
    pub grain: f64,
    /// Questions that failed; `None` where failing is no loss, because it is told apart from one.
    pub failed: Option<u64>,
    /// How long the fault lasted, in seconds.
    pub lasted: f64,
}

/// Beyond a forecast by this factor and this much is much: seconds.
const MUCH: f64 = 1.5;
const PAUSE: f64 = 0.1;
/// What a busy machine pauses by itself, when nothing should be seen at all.
const NOTHING: f64 = 0.25;

/// In a sentence; `None` if what was seen is what was forecast, or less where that was a worst case.
pub fn difference(forecast: &Forecast, observed: &Observed) -> Option<String> {
    let gap = observed.gap;
    let longer = |most: f64| {
        let beyond = gap > most * MUCH + PAUSE + observed.grain;
        beyond.then(|| {
            format!("nothing was answered for {gap:.2} s, {} times as long as predicted", times(gap / most))
        })
    };
    match forecast.loss {
        Loss::Nothing => match observed.failed {
            Some(1) => Some("1 request failed where none was predicted to".to_owned()),
            Some(failed) if failed > 0 => {
                Some(format!("{failed} requests failed where none was predicted to"))
            }
            _ if gap > NOTHING + observed.grain => {
                Some(format!("nothing was answered for {gap:.2} s, and no gap was predicted"))
            }
            _ => None,
        },
        // A few requests: too short to be a gap.
        Loss::Some(0.0) => (gap > NOTHING + observed.grain)
            .then(|| format!("nothing was answered for {gap:.2} s, and no gap was predicted")),
        Loss::Some(most) | Loss::Gap(most) => longer(most),
        Loss::UntilRepaired(after) => {
            let away = observed.lasted - after;
            let served = away > NOTHING + observed.grain && gap < away / 2.0;
            served.then(|| {
                format!(
                    "clients were served all the same: no gap longer than {gap:.2} s in {:.1} s: the model is too dark",
                    observed.lasted
                )
            })
        }
    }
}

/// `2`, `2.4`: one digit is enough.
fn times(ratio: f64) -> String {
    let text = format!("{ratio:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}
