//! The data plane.

pub mod http1;
pub mod probe;
pub mod proxy_protocol;

#[allow(dead_code, reason = "used by the listeners")]
mod buffer;
#[allow(dead_code, reason = "used by the listeners")]
mod flow;
#[allow(dead_code, reason = "used by the listeners")]
mod relay;
#[allow(dead_code, reason = "used by the listeners")]
mod splice;
