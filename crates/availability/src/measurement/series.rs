//! All minutes of one subject from one vantage: the day that is being measured as it is, those before in few bytes.
//!
//! A day without a failure is a few kilobytes, an idle one a few bytes; each comes with its totals, so that a window of a year costs
//! two days to be unpacked and not three hundred.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{DAY, MINUTE, Minute, Second, State, Totals};

const MINUTES: u64 = DAY / MINUTE;
/// What is later has been made up.
const LAST_DAY: u64 = 30_000_000;

/// A day that is over, or a copy of one that is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    packed: Arc<[u8]>,
    totals: Totals,
}

/// Bytes that are no day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    closed: BTreeMap<u64, Day>,
    /// The latest day: its number, and its minutes up to the last one that has something.
    open: Option<(u64, Vec<Minute>)>,
}

impl Series {
    pub fn record(&mut self, second: Second, state: State) {
        self.change(second / MINUTE, |minute| minute.record(second, state));
    }

    pub fn count(&mut self, second: Second, good: u64, bad: u64) {
        if good > 0 || bad > 0 {
            self.change(second / MINUTE, |minute| minute.count(good, bad));
        }
    }

    /// Of the seconds `from..to` those that somebody looked at were down after all. How many were taken for up.
    pub fn correct(&mut self, from: Second, to: Second) -> u64 {
        let mut were_up = 0;
        for number in from / MINUTE..to.max(from).div_ceil(MINUTE) {
            let begin = number * MINUTE;
            let seconds = (from.saturating_sub(begin), to.saturating_sub(begin).min(MINUTE));
            let mut minute = self.minute(number);
            were_up += minute.correct(seconds.0, seconds.1);
            if !minute.is_empty() {
                self.put(number, minute);
            }
        }
        were_up
    }

    /// In the place of what was known of this minute (its number since 1970).
    pub fn put(&mut self, number: u64, minute: Minute) {
        self.change(number, |there| *there = minute);
    }

    pub fn put_day(&mut self, number: u64, day: &Day) {
        if self.open.is_none() && self.closed.last_key_value().is_none_or(|(&last, _)| last < number) {
            self.closed.insert(number, day.clone());
            return;
        }
        for (minute, of) in day.minutes() {
            self.put(number * MINUTES + minute, of);
        }
    }

    fn change(&mut self, number: u64, change: impl FnOnce(&mut Minute)) {
        let (day, minute) = (number / MINUTES, (number % MINUTES) as usize);
        match &mut self.open {
            Some((open, minutes)) if *open == day => {
                if minutes.len() <= minute {
                    minutes.resize(minute + 1, Minute::default());
                }
                change(&mut minutes[minute]);
            }
            Some((open, _)) if *open > day => {
                let mut minutes = self.closed.remove(&day).map(|day| day.unpacked()).unwrap_or_default();
                minutes.resize(minutes.len().max(minute + 1), Minute::default());
                change(&mut minutes[minute]);
                self.closed.insert(day, Day::pack(&minutes));
            }
            _ => {
                self.close();
                let mut minutes = self.closed.remove(&day).map(|day| day.unpacked()).unwrap_or_default();
                minutes.resize(minutes.len().max(minute + 1), Minute::default());
                change(&mut minutes[minute]);
                self.open = Some((day, minutes));
            }
        }
    }

    fn close(&mut self) {
        if let Some((day, minutes)) = self.open.take() {
            self.closed.insert(day, Day::pack(&minutes));
        }
    }

    pub fn minute(&self, number: u64) -> Minute {
        self.minutes(number..number + 1).next().map(|(_, minute)| minute).unwrap_or_default()
    }

    pub fn state(&self, second: Second) -> State {
        self.minute(second / MINUTE).state(second)
    }

    /// Those of these minutes (by number) of which something is known, in their order.
    pub fn minutes(&self, range: std::ops::Range<u64>) -> impl Iterator<Item = (u64, Minute)> + '_ {
        let days = range.start / MINUTES..range.end.div_ceil(MINUTES).max(range.start / MINUTES);
        let closed = self.closed.range(days.clone()).flat_map(|(&day, packed)| {
            packed.minutes().map(move |(minute, of)| (day * MINUTES + minute, of))
        });
        let open = self.open.iter().filter(move |(day, _)| days.contains(day)).flat_map(|(day, minutes)| {
            minutes.iter().enumerate().map(move |(minute, of)| (day * MINUTES + minute as u64, *of))
        });
        closed.chain(open).filter(move |(number, of)| range.contains(number) && !of.is_empty())
    }

    /// Of the seconds `from..to`; requests by whole minutes, also where only a part of one is in there.
    pub fn totals(&self, from: Second, to: Second) -> Totals {
        let mut sum = Totals::default();
        if to <= from {
            return sum;
        }
        sum.seconds = to - from;
        let whole = from.div_ceil(DAY)..to / DAY;
        let mut partly = |from: Second, to: Second| {
            for (number, minute) in self.minutes(from / MINUTE..to.div_ceil(MINUTE)) {
                let begin = number * MINUTE;
                sum.add(&minute.part(from.saturating_sub(begin), to.saturating_sub(begin).min(MINUTE)));
            }
        };
        if whole.is_empty() {
            partly(from, to);
            return sum;
        }
        partly(from, whole.start * DAY);
        partly(whole.end * DAY, to);
        for (_, day) in self.closed.range(whole.clone()) {
            sum.add_known(&day.totals);
        }
        if let Some((_, minutes)) = self.open.as_ref().filter(|(day, _)| whole.contains(day)) {
            minutes.iter().for_each(|minute| sum.add(minute));
        }
        sum
    }

    /// The first and the last second of which something is known.
    pub fn span(&self) -> Option<(Second, Second)> {
        // A day's totals tell whether it is worth to be unpacked.
        let any = |totals: &Totals| totals.up + totals.down > 0 || totals.good.max(totals.bad) > 0;
        let closed = self.closed.iter().filter(|(_, of)| any(&of.totals)).map(|(day, _)| *day);
        let days = closed.chain(self.open.iter().map(|(day, _)| *day));
        self.ends(days, Minute::is_known, |minute| minute.up_mask() | minute.down_mask())
    }

    /// The first and the last second in which it was there.
    pub fn presence(&self) -> Option<(Second, Second)> {
        let days = self.closed.keys().copied().chain(self.open.iter().map(|(day, _)| *day));
        self.ends(days, |_| true, Minute::there_mask)
    }

    fn ends(
        &self,
        days: impl DoubleEndedIterator<Item = u64> + Clone,
        counts: impl Fn(&Minute) -> bool,
        mask: impl Fn(&Minute) -> u64,
    ) -> Option<(Second, Second)> {
        let of =
            |day: u64| self.minutes(day * MINUTES..(day + 1) * MINUTES).filter(|(_, minute)| counts(minute));
        let (first, of_first) = days.clone().find_map(|day| of(day).next())?;
        let (last, of_last) = days.rev().find_map(|day| of(day).last())?;
        // A minute with requests alone counts from its beginning to its end.
        let begin = match mask(&of_first) {
            0 => 0,
            mask => u64::from(mask.trailing_zeros()),
        };
        let end = match mask(&of_last) {
            0 => MINUTE - 1,
            mask => u64::from(63 - mask.leading_zeros()),
        };
        Some((first * MINUTE + begin, last * MINUTE + end))
    }

    /// Each day that there is, the latest too.
    pub fn days(&self) -> impl Iterator<Item = (u64, Day)> + '_ {
        let open = self.open.iter().map(|(day, minutes)| (*day, Day::pack(minutes)));
        self.closed.iter().map(|(&day, packed)| (day, packed.clone())).chain(open)
    }

    pub fn day_numbers(&self) -> impl Iterator<Item = u64> + '_ {
        self.closed.keys().copied().chain(self.open.iter().map(|(day, _)| *day))
    }

    /// Bytes that its days take.
    pub fn bytes(&self) -> usize {
        let open = self.open.as_ref().map_or(0, |(_, minutes)| minutes.len() * size_of::<Minute>());
        self.closed.values().map(|day| day.packed.len()).sum::<usize>() + open
    }

    /// Only what lies in `from..to`, in whole days at the beginning.
    pub fn cut(&mut self, first_day: u64, to: Second) {
        self.closed = self.closed.split_off(&first_day);
        if self.open.as_ref().is_some_and(|(day, _)| *day < first_day) {
            self.open = None;
        }
        if self.presence().is_none_or(|(_, last)| last < to) {
            return;
        }
        let beyond: Vec<(u64, Minute)> = self.minutes(to / MINUTE..u64::MAX / DAY).collect();
        for (number, minute) in beyond {
            let begin = number * MINUTE;
            let part = minute.part(0, to.saturating_sub(begin).min(MINUTE));
            // Requests of a minute of which no second is known would speak for all of it.
            let known = part.up() + part.down() > 0;
            self.put(number, if known { part } else { Minute::default() });
        }
        let last = to.div_ceil(DAY);
        self.closed.split_off(&last);
        if self.open.as_ref().is_some_and(|(day, _)| *day >= last) {
            self.open = None;
        }
    }
}

/// What a number at the beginning of a piece says in its two lowest bits.
const GAP: u64 = 0;
const UP: u64 = 1;
const ANY: u64 = 2;
const AGAIN: u64 = 3;

impl Day {
    /// Minutes from the day's first on; what is missing at the end is unknown.
    pub fn pack(minutes: &[Minute]) -> Self {
        let (mut packed, mut totals) = (Vec::new(), Totals::default());
        let minutes = &minutes[..minutes.len().min(MINUTES as usize)];
        let mut at = 0;
        while at < minutes.len() {
            let minute = minutes[at];
            let alike = minutes[at..].iter().take_while(|other| **other == minute).count();
            minutes[at..at + alike].iter().for_each(|minute| totals.add(minute));
            at += alike;
            let again = alike as u64 - 1;
            if minute.is_empty() {
                write(&mut packed, GAP, alike as u64);
                continue;
            }
            if minute.is_all_up() && minute.bad == 0 {
                write(&mut packed, UP, minute.good);
            } else {
                write(&mut packed, ANY, minute.good);
                write(&mut packed, GAP, minute.bad);
                let (up, down) = minute.masks();
                packed.extend(up.to_le_bytes());
                packed.extend(down.to_le_bytes());
            }
            if again > 0 {
                write(&mut packed, AGAIN, again);
            }
        }
        totals.seconds = 0;
        Self { packed: packed.into(), totals }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.packed
    }

    /// What [`Day::bytes`] gave, possibly damaged.
    ///
    /// # Errors
    /// It is no day.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut minutes = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (what, number) = read(&mut rest).ok_or(Unreadable)?;
            let (minute, times) = match what {
                GAP => (Minute::default(), number),
                UP => (Minute::all_up(number), 1),
                ANY => {
                    let (_, bad) = read(&mut rest).ok_or(Unreadable)?;
                    let (up, down) = (mask(&mut rest)?, mask(&mut rest)?);
                    (Minute::from_masks((up, down), number, bad), 1)
                }
                _ => (minutes.last().copied().ok_or(Unreadable)?, number),
            };
            if times + minutes.len() as u64 > MINUTES {
                return Err(Unreadable);
            }
            minutes.resize(minutes.len() + times as usize, minute);
        }
        Ok(Self::pack(&minutes))
    }

    /// Never longer than a day.
    fn unpacked(&self) -> Vec<Minute> {
        let mut minutes = Vec::new();
        for (number, minute) in self.minutes() {
            minutes.resize(number as usize, Minute::default());
            minutes.push(minute);
        }
        minutes
    }

    /// Those that are not empty, by their number in the day.
    pub fn minutes(&self) -> impl Iterator<Item = (u64, Minute)> + '_ {
        Minutes { rest: &self.packed, at: 0, last: Minute::default(), again: 0 }
    }
}

struct Minutes<'a> {
    rest: &'a [u8],
    at: u64,
    last: Minute,
    again: u64,
}

impl Iterator for Minutes<'_> {
    type Item = (u64, Minute);

    fn next(&mut self) -> Option<Self::Item> {
        while self.again == 0 {
            let (what, number) = read(&mut self.rest)?;
            match what {
                GAP => self.at += number,
                AGAIN => self.again = number,
                UP => (self.last, self.again) = (Minute::all_up(number), 1),
                _ => {
                    let (_, bad) = read(&mut self.rest)?;
                    let (up, down) = (mask(&mut self.rest).ok()?, mask(&mut self.rest).ok()?);
                    (self.last, self.again) = (Minute::from_masks((up, down), number, bad), 1);
                }
            }
        }
        self.again -= 1;
        self.at += 1;
        Some((self.at - 1, self.last))
    }
}

/// A number with two bits of what it is, seven bits a byte, the lowest first. No count of requests reaches 62 bits.
fn write(out: &mut Vec<u8>, what: u64, number: u64) {
    let mut left = number.min(u64::MAX >> 2) << 2 | what;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

fn read(rest: &mut &[u8]) -> Option<(u64, u64)> {
    let mut number = 0u64;
    for place in 0..10 {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        let bits = u64::from(byte & 0x7f);
        if place == 9 && bits > 1 {
            return None;
        }
        number |= bits << (7 * place);
        if byte & 0x80 == 0 {
            return Some((number & 3, number >> 2));
        }
    }
    None
}

fn mask(rest: &mut &[u8]) -> Result<u64, Unreadable> {
    let (bytes, after) = rest.split_first_chunk::<8>().ok_or(Unreadable)?;
    *rest = after;
    Ok(u64::from_le_bytes(*bytes))
}

/// In JSON a series is an object of days, each as its number and its bytes in hexadecimal.
impl Serialize for Series {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.days().map(|(number, day)| {
            (number.to_string(), day.packed.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }))
    }
}

impl<'de> Deserialize<'de> for Series {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let mut series = Self::default();
        // As text: not every way to read JSON makes numbers of keys.
        let days =
            BTreeMap::<String, String>::deserialize(deserializer)?.into_iter().map(|(number, text)| {
                let number = number.parse::<u64>().ok().filter(|number| *number < LAST_DAY);
                number.map(|number| (number, text)).ok_or_else(|| D::Error::custom("a day is a number"))
            });
        let mut days = days.collect::<Result<Vec<_>, _>>()?;
        days.sort_unstable();
        for (number, text) in days {
            let digits = text.as_bytes().chunks(2).map(|pair| {
                let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
                u8::from_str_radix(pair, 16).ok()
            });
            let bytes = digits
                .collect::<Option<Vec<u8>>>()
                .ok_or_else(|| D::Error::custom("a day is hexadecimal"))?;
            let day =
                Day::from_bytes(&bytes).map_err(|Unreadable| D::Error::custom("a day can't be read"))?;
            series.put_day(number, &day);
        }
        Ok(series)
    }
}

#[cfg(test)]
mod tests;
