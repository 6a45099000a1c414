//! Protocols: a WebSocket connection, from its match to the end of its clean-up.

use crate::connection::{Connection, Lifetime};
use crate::plan::Plan;
use crate::{pipeline, solve};

/// Solves the dependencies, runs the endpoint, cleans up. Exception handlers come after it.
pub async fn converse(connection: &Connection, plan: &Plan) -> pyo3::PyResult<()> {
    let failed = pipeline::converse(connection, plan).await.err();
    let failed = solve::unwind(connection, Lifetime::Function, failed).await;
    match solve::unwind(connection, Lifetime::Request, failed).await {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
