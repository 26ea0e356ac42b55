//! How long failures are taken to last where a file says how often they come, and no more. What works with these figures has the
//! same (its tests compare them); here they tell whether a file can be meant as it is.

use std::time::Duration;

pub const HOST: Duration = Duration::from_secs(4 * 3600);
/// Of a region as well.
pub const ZONE: Duration = Duration::from_secs(342 * 60);
pub const SHARED: Duration = Duration::from_secs(2 * 3600);
pub const CHANGE: Duration = Duration::from_secs(1800);
