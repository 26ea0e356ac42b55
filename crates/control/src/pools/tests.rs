//! Scenes from the life of a pool, told in inputs and times.

mod databases;
mod operator;
mod properties;
mod scenes;
mod world;
