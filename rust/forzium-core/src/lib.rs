//! The part of forzium that knows no Python.
//!
//! Paths and the routing table, url-encoded data, multipart bodies, cookies, media types. Pure functions over bytes and text: no
//! Python, no runtime, no `unsafe`. Everything here is tested beside the code; the binding crate (`forzium-py`)
//! turns its results into Python objects.
#![forbid(unsafe_code)]

pub mod cookie;
pub mod media_type;
pub mod multipart;
pub mod percent;
pub mod routing;
pub mod scalar;
pub mod urlencoded;
